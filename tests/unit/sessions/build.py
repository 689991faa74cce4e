"""Lines and sessions for tests."""

from local.drive import Fed
from processors.items import Item
from processors.normalise.log import LogNormaliser
from processors.policy import Label, Session, Stream


def spec(**settings: object) -> Session:
    """By the number in `blk_17`, over after half a minute, unless told otherwise."""
    key = {} if "field" in settings else {"key": r"blk_(\d+)"}
    return Session.model_validate(key | {"idle": "30s", "lines": 100} | settings)


KEY = spec()


def stream(session: Session | None = KEY, **more: object) -> Stream:
    labels = {"normal": Label(means="all is well"), "anomaly": Label(means="a block is lost", severity="error")}
    return Stream.model_validate({"kind": "log", "topics": ("in",), "labels": labels, "session": session} | more)


def line(block: object, at_s: float = 0, offset: int = 0, text: str = "served") -> Fed:
    value = f"081109 203530 14 INFO dfs.DataNode: {text} blk_{block}".encode()
    return Fed("in", 0, offset, round(at_s * 1000), None, value)


def read(record: Fed, session: Session = KEY) -> Item:
    item = LogNormaliser("hdfs", stream(session)).read(record)
    assert isinstance(item, Item)
    return item
