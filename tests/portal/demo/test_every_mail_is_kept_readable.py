"""What the portal sends by SMTP lies in the mail folder as .eml, .html and .txt, and in a list that escapes what others wrote."""

import smtplib
from email.message import EmailMessage

import pytest

from portal.demo.mail import MailCatcher
from portal.embedded import free_port


@pytest.fixture
def catcher(tmp_path):
    catcher = MailCatcher(tmp_path / "mail", free_port())
    catcher.start()
    yield catcher
    catcher.stop()


def send(catcher, subject, html=True):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "portal@aurelius.example", "alice@acme.example", subject
    message.set_content("Budget at 80 % – plain\n")
    if html:
        message.add_alternative("<h1>Budget at 80 %</h1>", subtype="html")
    with smtplib.SMTP("127.0.0.1", catcher.port, timeout=5) as smtp:
        smtp.send_message(message)


def test_three_forms_of_one_mail(catcher):
    send(catcher, "Budget “Main” at 80 %")
    (eml,) = catcher.folder.glob("*.eml")
    assert eml.stem.endswith("-budget-main-at-80")
    assert "<h1>Budget at 80 %</h1>" in eml.with_suffix(".html").read_text()
    text = eml.with_suffix(".txt").read_text()
    assert "To: alice@acme.example" in text
    assert "Budget at 80 % – plain" in text
    assert b"Subject:" in eml.read_bytes()


def test_the_list_names_every_mail_newest_first(catcher):
    send(catcher, "first")
    send(catcher, "second", html=False)
    page = (catcher.folder / "index.html").read_text()
    assert page.index("<td>second") < page.index("<td>first")
    assert "2 mails" in page


def test_a_subject_cannot_write_html_or_paths(catcher):
    send(catcher, "<script>alert(1)</script> ../../etc/passwd")
    page = (catcher.folder / "index.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert {path.parent for path in catcher.folder.rglob("*.eml")} == {catcher.folder}


def test_an_empty_folder_has_a_page_too(catcher):
    assert "None yet" in (catcher.folder / "index.html").read_text()
