{{/* The objects are those of deploy/kustomize, read from its files: the chart gives them the release's names, and what its values say. A test compares the two. */}}

{{/* A name of the manifests, as this release has it. */}}
{{- define "weirkeeper.name" -}}
{{- regexReplaceAll "^weirkeeper" .name .root.Release.Name -}}
{{- end -}}

{{/* A namespace of the manifests, as this release has it. */}}
{{- define "weirkeeper.namespace" -}}
{{- regexReplaceAll "^weirkeeper" .name .root.Release.Namespace -}}
{{- end -}}

{{/* All objects of some files. namespace: that of those that name none; marked: whether they carry the labels of the install. */}}
{{- define "weirkeeper.files" -}}
{{- $all := . -}}
{{- range $path := .paths -}}
{{- range $text := splitList "\n---\n" ($all.root.Files.Get (printf "kustomize/%s" $path)) }}
{{- $object := fromYaml $text -}}
{{- if hasKey $object "Error" -}}{{- fail (printf "%s: %s" $path $object.Error) -}}{{- end }}
---
{{ include "weirkeeper.object" (merge (dict "object" $object) $all) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "weirkeeper.object" -}}
{{- $root := .root -}}
{{- $object := .object -}}
{{- $meta := $object.metadata -}}
{{- if eq $object.kind "Namespace" -}}
{{- $_ := set $meta "name" (include "weirkeeper.namespace" (dict "root" $root "name" $meta.name)) -}}
{{- else -}}
{{- $_ := set $meta "name" (include "weirkeeper.name" (dict "root" $root "name" $meta.name)) -}}
{{- if not (has $object.kind (list "ClusterRole" "ClusterRoleBinding" "IngressClass")) -}}
{{- $_ := set $meta "namespace" (include "weirkeeper.namespace" (dict "root" $root "name" (default .namespace $meta.namespace))) -}}
{{- end -}}
{{- end -}}
{{- range $rule := $object.rules -}}
{{- if $rule.resourceNames -}}
{{- $names := list -}}
{{- range $rule.resourceNames -}}{{- $names = append $names (include "weirkeeper.name" (dict "root" $root "name" .)) -}}{{- end -}}
{{- $_ := set $rule "resourceNames" $names -}}
{{- end -}}
{{- end -}}
{{- with $object.roleRef -}}{{- $_ := set . "name" (include "weirkeeper.name" (dict "root" $root "name" .name)) -}}{{- end -}}
{{- range $object.subjects -}}
{{- $_ := set . "name" (include "weirkeeper.name" (dict "root" $root "name" .name)) -}}
{{- $_ := set . "namespace" $root.Release.Namespace -}}
{{- end -}}
{{- if .marked -}}{{- include "weirkeeper.marked" . -}}{{- end -}}
{{- if eq $object.kind "IngressClass" -}}
{{- $_ := set $object.spec "controller" $root.Values.classController -}}
{{- if $root.Values.classParameters -}}
{{- $_ := set $object.spec "parameters" (dict "apiGroup" "weirkeeper.io" "kind" "LoadBalancerClassParameters" "name" $root.Release.Name) -}}
{{- end -}}
{{- end -}}
{{- if hasKey (default dict $object.data) "settings.yaml" -}}
{{- $settings := deepCopy $root.Values.controlPlane.settings -}}
{{- if ne $root.Values.classController "weirkeeper.io/ingress" -}}
{{- $settings = merge $settings (dict "classControllers" (list $root.Values.classController)) -}}
{{- end -}}
{{- $_ := set $object.data "settings.yaml" (printf "%s\n" (toYaml $settings)) -}}
{{- end -}}
{{- with $object.spec -}}
{{- with .scaleTargetRef -}}{{- $_ := set . "name" (include "weirkeeper.name" (dict "root" $root "name" .name)) -}}{{- end -}}
{{- end -}}
{{- if has $object.kind (list "Deployment" "DaemonSet") -}}{{- include "weirkeeper.workload" . -}}{{- end -}}
{{- toYaml $object -}}
{{- end -}}

{{/* The labels of the install: on the object, its pods, and everything that selects them. */}}
{{- define "weirkeeper.marked" -}}
{{- $install := dict "install" .root.Release.Name -}}
{{- $object := .object -}}
{{- $part := dict "app.kubernetes.io/part-of" "weirkeeper" -}}
{{- $_ := set $object.metadata "labels" (merge (default dict $object.metadata.labels) $install $part) -}}
{{- with $object.spec -}}
{{- with .selector -}}
{{- if eq $object.kind "Service" -}}{{- $_ := merge . $install -}}{{- else -}}{{- $_ := merge .matchLabels $install -}}{{- end -}}
{{- end -}}
{{- with .template -}}
{{- $_ := set .metadata "labels" (merge .metadata.labels $install $part) -}}
{{- range (dig "affinity" "podAntiAffinity" "preferredDuringSchedulingIgnoredDuringExecution" list .spec) -}}
{{- $_ := merge .podAffinityTerm.labelSelector.matchLabels $install -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
