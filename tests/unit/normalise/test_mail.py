"""Mails to messages."""

import base64

import pytest

from processors.items import Item
from processors.normalise.normaliser import normaliser_for
from tests.unit.normalise.records import FakeRecord, json, stream
from topics import limits
from topics.messages import Rejected

MAIL = normaliser_for("mail", stream("email"))
HEAD = b"From: Ann Lee <ann@Shop.Example>\r\nTo: help@house.example\r\nSubject: My order\r\n"


def read(raw: bytes) -> Item:
    item = MAIL.read(FakeRecord(raw))
    assert isinstance(item, Item), item
    return item


def body(raw: bytes) -> str:
    return read(raw).text.partition("\n\n")[2]


def multipart(kind: str, *parts: bytes) -> bytes:
    inside = b"".join(b"--X\r\n" + part + b"\r\n" for part in parts)
    return HEAD + f'MIME-Version: 1.0\r\nContent-Type: {kind}; boundary="X"\r\n\r\n'.encode() + inside + b"--X--\r\n"


def plain(text: str) -> bytes:
    return b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text.encode()


def rich(text: str) -> bytes:
    return b"Content-Type: text/html; charset=utf-8\r\n\r\n" + text.encode()


def test_models_see_sender_subject_and_body_and_rules_the_headers() -> None:
    item = read(HEAD + b"Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nList-Id: <x.y>\r\n\r\nWhere is it?\r\n")
    assert item.text == "From: Ann Lee (shop.example)\nSubject: My order\n\nWhere is it?"
    assert item.fields == {
        "from": "Ann Lee <ann@Shop.Example>",
        "from.domain": "shop.example",
        "to": "help@house.example",
        "subject": "My order",
        "date": "Thu, 1 Jan 2026 00:00:00 +0000",
        "list-id": "<x.y>",
        "has_attachments": False,
    }
    assert item.memory_text == item.text
    assert not item.truncated


def test_the_same_mail_is_the_same_whoever_has_its_mailbox() -> None:
    one = read(b"From: a@x.example\nSubject: s\nMessage-ID: <1>\n\nhi")
    other = read(b"From: b@x.example\nSubject: s\nMessage-ID: <2>\n\nhi")
    assert one.memory_text == other.memory_text


def test_a_mail_in_parts_is_read_alike() -> None:
    given = {"from": "Ann Lee <ann@shop.example>", "to": None, "subject": "My order", "body": "Where is it?"}
    item = MAIL.read(json({"payload": given}))
    assert isinstance(item, Item)
    assert item.text == "From: Ann Lee (shop.example)\nSubject: My order\n\nWhere is it?"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= =?iso-8859-1?b?5OY=?=\n\nhi", "Subject: Grüßeäæ\n\nhi"),
        (b"Subject: Gr\xfc\xdfe\n\nhi", "Subject: Grüße\n\nhi"),
        ("Subject: Grüße\n\nhi".encode(), "Subject: Grüße\n\nhi"),
        (b"Subject: folded\r\n over lines\r\n\r\nhi", "Subject: folded over lines\n\nhi"),
        (b"Subject: =?utf-8?q?broken\n\nhi", "Subject: =?utf-8?q?broken\n\nhi"),
        (b"Subject: x\nContent-Type: text/plain; charset=latin1\n\nsch\xf6n \x93ja\x94", "Subject: x\n\nschön “ja”"),
        (b"Subject: x\nContent-Type: text/plain; charset=koi8-r\n\n\xd0\xd2\xc9", "Subject: x\n\nпри"),
        (b"Subject: x\nContent-Type: text/plain; charset=iso-2022-jp\n\n\x1b$B$3\x1b(B", "Subject: x\n\nこ"),
        (b"Subject: x\nContent-Type: text/plain; charset=nonsense\n\nsch\xf6n", "Subject: x\n\nschön"),
        (b"Subject: x\nContent-Transfer-Encoding: quoted-printable\n\nsch=C3=B6n=\n er", "Subject: x\n\nschön er"),
        (b"Subject: x\nContent-Transfer-Encoding: base64\n\n" + base64.b64encode(b"yes"), "Subject: x\n\nyes"),
        (b"\xef\xbb\xbfSubject: x\r\n\r\nhi\0", "Subject: x\n\nhi"),
        (b"From ann@x Mon Jan  1 00:00:00 2001\nSubject: x\n\nhi", "Subject: x\n\nhi"),
        (b"Where is my order?", "Where is my order?"),
        (b"From: not an address\nSubject: x\n\nhi", "From: not an address\nSubject: x\n\nhi"),
    ],
)  # fmt: skip
def test_charsets_and_encodings(raw: bytes, text: str) -> None:
    assert read(raw).text == text


@pytest.mark.parametrize(
    ("sender", "shown"),
    [
        ("ann@x.example", "x.example"),
        ('"Lee, Ann" <ann@x.example>', "Lee, Ann (x.example)"),
        ("Lee, Ann <ann@x.example>", "Lee, Ann (x.example)"),
        ("ann@x.example (Ann Lee)", "Ann Lee (x.example)"),
        ('"service@bank.example" <a@evil.example>', "service@bank.example (evil.example)"),
        ("service@bank.example <a@evil.example>", "service@bank.example (evil.example)"),
        ("not an address", "not an address"),
    ],
)
def test_senders_are_shown_with_name_and_domain(sender: str, shown: str) -> None:
    assert read(f"From: {sender}\nSubject: x\n\nhi".encode()).text.splitlines()[0] == f"From: {shown}"


def test_a_latin_1_mail_that_travelled_as_json_text_is_read_as_text() -> None:
    raw = "Subject: x\nContent-Type: text/plain; charset=iso-8859-1\n\nschön \x93ja\x94"
    item = MAIL.read(json({"raw": raw}))
    assert isinstance(item, Item)
    assert item.text == "Subject: x\n\nschön “ja”"


def test_html_is_read_as_a_person_sees_it() -> None:
    html = (
        "<html><head><style>p {color: red}</style><title>t</title></head><body><p>Dear&nbsp;customer,</p>"
        "<table><tr><td>Total</td><td>5 €</td></tr><tr><td>Tax</td><td>1 €</td></tr></table>"
        "<div style='display:none'>hidden</div><ul><li>one<li>two</ul></body></html>"
    )
    text = body(HEAD + rich(html))
    assert text == "Dear customer,\n\nTotal 5 €\nTax 1 €\n* one\n* two"


def test_html_that_calls_itself_plain_is_html() -> None:
    assert body(HEAD + plain("<html><body><b>Buy</b> now</body></html>")) == "Buy now"


def test_the_plain_alternative_is_read_unless_it_is_a_stub() -> None:
    told = "The plain text tells it all, at some length, and so nobody needs to look at the other one. " * 3
    assert body(multipart("multipart/alternative", plain(told), rich("<p>rich " + told))) == told.strip()
    stub = plain("Your reader cannot show HTML.")
    assert body(multipart("multipart/alternative", stub, rich(f"<p>rich {told}"))) == f"rich {told}".strip()


def test_attachments_are_named_and_not_read() -> None:
    item = read(
        multipart(
            "multipart/mixed",
            plain("See attached."),
            b'Content-Type: application/pdf; name="bill.pdf"\r\nContent-Disposition: attachment\r\n\r\nSECRET',
            b'Content-Type: text/plain; name="=?utf-8?q?=C3=A4.txt?="\r\n\r\nSECRET',
            b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nSECRET",
        )
    )
    assert "Attachments: bill.pdf, ä.txt, message/rfc822\n" in item.text
    assert "SECRET" not in item.full_text
    assert (item.fields["has_attachments"], item.fields["attachments"]) == (True, "bill.pdf, ä.txt, message/rfc822")


@pytest.mark.parametrize(
    "quoted",
    [
        "\n\nOn Mon, 1 Jan 2026 at 10:00, Bob <bob@x.example> wrote:\n> How are you?\n> Bob",
        "\n\n-----Original Message-----\nFrom: Bob\nSent: Monday\nTo: Ann\n\nHow are you?",
        "\n\nVon: Bob\nGesendet: Montag\nAn: Ann\nBetreff: x\n\nWie geht es?",
        "\n\nBest regards,\nAnn\nShop Inc.",
        "\n\n--\nAnn\nShop Inc.",
    ],
)
def test_what_is_quoted_and_signed_is_cut_and_agents_still_see_it(quoted: str) -> None:
    item = read(HEAD + plain("I want my money back." + quoted))
    told = item.text.partition("\n\n")[2]
    assert told.startswith("I want my money back.")
    assert "How are you" not in told
    assert "Wie geht" not in told
    assert "Shop Inc." not in told
    assert len(item.full_text) > len(item.text)


def test_answers_below_and_between_the_quoted_stay() -> None:
    text = body(HEAD + plain("On Monday, Bob wrote:\n> Pay?\nNo.\n> When?\nNever."))
    assert "Pay?" not in text
    assert text.endswith("No.\nNever.")


@pytest.mark.parametrize("text", ["> only\n> quoted", "Best regards,\nAnn"])
def test_where_nothing_would_be_left_all_is_kept(text: str) -> None:
    assert body(HEAD + plain(text)) == text


def test_a_forwarded_mail_is_kept_whole() -> None:
    raw = b"Subject: Fwd: broken\n\nPlease look.\n\n-----Original Message-----\nFrom: Bob\nTo: Ann\n\nIt is broken."
    assert "It is broken." in read(raw).text


@pytest.mark.parametrize(
    "text",
    [
        "Hello\n\nThanks, but the refund never came and I have waited for three weeks now. I want it.",
        "Hello, I need:\n- a new cable\n- a new screen\n- an answer",
    ],
)
def test_thanks_and_lists_are_no_signature(text: str) -> None:
    assert body(HEAD + plain(text)) == text


def test_a_long_mail_keeps_head_and_tail() -> None:
    item = read(HEAD + plain("FIRST " + "word " * 20_000 + " LAST"))
    assert item.truncated
    assert len(item.text) <= limits.MESSAGE_TEXT_CHARS_MAX < len(item.full_text) <= limits.ESCALATION_TEXT_CHARS_MAX
    assert "FIRST" in item.text
    assert item.text.endswith("LAST")
    assert "characters left out" in item.text
    assert len(item.memory_text) < 300


def test_a_huge_mail_is_cut_before_it_is_parsed_and_still_decided() -> None:
    attachment = b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"A" * 76 * 200_000
    item = read(multipart("multipart/mixed", plain("The text comes first."), attachment))
    assert item.truncated
    assert item.full_truncated  # short as it is: what came after the cut was never read
    assert item.text.endswith("The text comes first.")
    assert item.fields["has_attachments"]


@pytest.mark.parametrize("value", [{"from": "", "subject": "", "body": " "}, {"raw": " \n"}])
def test_a_mail_that_says_nothing_is_rejected(value: dict[str, str]) -> None:
    rejected = MAIL.read(json(value))
    assert isinstance(rejected, Rejected)
    assert "empty" in rejected.detail


HOSTILE = {
    "nested messages": HEAD + b"Content-Type: message/rfc822\n\n" * 5_000,
    "nested parts": HEAD + b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(1_000)
    ),
    "many parts": HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nhi\n" * 20_000,
    "long header": b"From: " + b"a, " * 100_000 + b"\n\nhi",
    "encoded words": b"Subject: " + b"=?utf-8?q?a?= " * 20_000 + b"\n\nhi",
    "empty lines": HEAD + b"\nx" + b"\n" * 100_000 + b"y",
    "spaces": HEAD + b"\nThank" + b" " * 100_000 + b"y",
    "a long reply line": HEAD + b"\nHi\nOn " + b"a b " * 50_000 + b"\nwrote:",
    "many reply lines": HEAD + b"\nHi wrote:\n" + (b"On " + b"a On" * 10 + b"\n") * 2_000,
    "a wide table": HEAD + rich("<table><tr><td>" + "x" * 70_000 + "</td></tr>" + "<tr><td>a" * 8_000),
    "a wide margin": HEAD + rich("<p style='margin-top:999999999em'>a" + "<p style='PADDING-left : 999999999em'>b"),
    "deep elements": HEAD + rich("<div>" * 20_000 + "hi"),
    "open comments": HEAD + rich("<!--" * 30_000),
    "no multipart": HEAD + b"Content-Type: multipart/mixed\n\nhi",
    "broken charset": HEAD + b"Content-Type: text/plain; charset*=x'y'%zz\n\nhi",
    "broken base64": HEAD + b"Content-Transfer-Encoding: base64\n\nA",
    "uuencode": HEAD + b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 x\n\xff",
}  # fmt: skip


@pytest.mark.timeout(30)  # unbounded, the libraries take minutes or gigabytes for some of these
@pytest.mark.parametrize("name", HOSTILE)
def test_broken_and_hostile_mails_are_decided(name: str) -> None:
    item = read(HOSTILE[name])
    assert item.text
    assert len(item.text) <= limits.MESSAGE_TEXT_CHARS_MAX
