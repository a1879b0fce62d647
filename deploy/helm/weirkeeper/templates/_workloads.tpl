{{/* What values and components say about the pods of the control plane and of Envoys. */}}
{{- define "weirkeeper.workload" -}}
{{- $root := .root -}}
{{- $object := .object -}}
{{- $pod := $object.spec.template.spec -}}
{{- $plane := eq $object.metadata.name $root.Release.Name -}}
{{- $values := ternary $root.Values.controlPlane $root.Values.instances $plane -}}
{{- $_ := set $pod "serviceAccountName" (include "weirkeeper.name" (dict "root" $root "name" $pod.serviceAccountName)) -}}
{{- range $pod.volumes -}}
{{- with .configMap -}}{{- $_ := set . "name" (include "weirkeeper.name" (dict "root" $root "name" .name)) -}}{{- end -}}
{{- end -}}
{{- range concat (default list $pod.initContainers) $pod.containers -}}
{{- $_ := set . "image" (ternary $root.Values.envoyImage $root.Values.image (eq .name "envoy")) -}}
{{- end -}}
{{- $_ := set (index $pod.containers 0) "resources" (mergeOverwrite (index $pod.containers 0).resources $values.resources) -}}
{{- with $values.priorityClassName -}}{{- $_ := set $pod "priorityClassName" . -}}{{- end -}}
{{- with $values.nodeSelector -}}{{- $_ := set $pod "nodeSelector" . -}}{{- end -}}
{{- with $values.tolerations -}}{{- $_ := set $pod "tolerations" . -}}{{- end -}}
{{- if hasKey $object.spec "replicas" -}}
{{- if and (not $plane) (has "autoscaling" $root.Values.components) -}}
{{- $_ := unset $object.spec "replicas" -}}
{{- else -}}
{{- $_ := set $object.spec "replicas" (int $values.replicas) -}}
{{- end -}}
{{- end -}}
{{- if $plane -}}
{{- include "weirkeeper.plane" . -}}
{{- else -}}
{{- $_ := set $object.spec.template.metadata.annotations "control-plane" (printf "%s.%s.svc" $root.Release.Name $root.Release.Namespace) -}}
{{- end -}}
{{- end -}}

{{- define "weirkeeper.plane" -}}
{{- $root := .root -}}
{{- $spec := .object.spec -}}
{{- $container := index $spec.template.spec.containers 0 -}}
{{- if eq $root.Values.controlPlane.apart "required" -}}
{{- $term := (index $spec.template.spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution 0).podAffinityTerm -}}
{{- $_ := set $spec.template.spec.affinity "podAntiAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" (list $term)) -}}
{{- /* one more than there are nodes would wait for ever */ -}}
{{- $_ := set $spec "strategy" (dict "rollingUpdate" (dict "maxUnavailable" 1 "maxSurge" 0)) -}}
{{- end -}}
{{- range $component := $root.Values.components -}}
{{- range $path, $_ := $root.Files.Glob (printf "kustomize/components/%s/**kustomization.yaml" $component) -}}
{{- range (fromYaml ($root.Files.Get $path)).patches -}}
{{- if not .target -}}
{{- $patch := fromYaml .patch -}}
{{- $_ := set $container "env" (concat (index $patch.spec.template.spec.containers 0).env $container.env) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $container.env -}}
{{- if eq .name "WEIR_FLEET_IMAGE" -}}{{- $_ := set . "value" $root.Values.image -}}{{- end -}}
{{- if eq .name "WEIR_FLEET_ENVOY_IMAGE" -}}{{- $_ := set . "value" $root.Values.envoyImage -}}{{- end -}}
{{- end -}}
{{- end -}}
