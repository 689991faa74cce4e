"""The owned topics as KafkaTopic resources, which Strimzi's topic operator creates and keeps as they are here."""

import re

from topics.catalog import OWNED, Names, Topic

API_VERSION = "kafka.strimzi.io/v1"
_NOT_IN_NAMES = re.compile(r"[^a-z0-9.-]")  # of Kubernetes resources


def manifest(names: Names, *, cluster: str, partitions: int, replicas: int) -> str:
    """YAML, one document a topic. `cluster`: the name of the Kafka resource; `partitions`: where the catalog leaves it
    open."""
    return "---\n".join(_topic(topic, names.topic(topic), cluster, partitions, replicas) for topic in OWNED)


def _topic(topic: Topic, name: str, cluster: str, partitions: int, replicas: int) -> str:
    resource = _NOT_IN_NAMES.sub("-", name.lower()).strip("-.")
    config = "".join(f'    {key}: "{value}"\n' for key, value in topic.config().items())
    return f"""\
# {topic.about}
apiVersion: {API_VERSION}
kind: KafkaTopic
metadata:
  name: {resource}
  labels:
    strimzi.io/cluster: {cluster}
spec:
  topicName: {name}
  partitions: {topic.partitions or partitions}
  replicas: {replicas}
  config:
{config}"""
