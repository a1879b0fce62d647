"""Objects of an API server: every kind that a controller reads, and Secrets and ConfigMaps only by name."""

from weirkeeper.feeds.kube.feed import BY_NAME as BY_NAME
from weirkeeper.feeds.kube.feed import NAME as NAME
from weirkeeper.feeds.kube.feed import KubeFeed as KubeFeed
