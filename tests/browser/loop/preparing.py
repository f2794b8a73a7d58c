"""What an administrator does before people can work: project, guidelines, files, batch, invitations."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from .window import Window

PASSWORD = "correct horse battery staple"


def set_up_the_site(admin: Window, link: str) -> None:
    page = admin.open(link)
    answers = {
        "username": "ada",
        "email": "ada@example.org",
        "password": PASSWORD,
        "password_again": PASSWORD,
    }
    for name, text in answers.items():
        page.locator(f"input[name={name}]").fill(text)
    admin.picture("01-set-up")
    admin.button("Create the administrator").click()
    page.wait_for_url(lambda url: "/setup/" not in url)


def open_a_project(admin: Window, name: str) -> str:
    """Returns the address of the project, such as /projects/tidy-answers/."""
    page = admin.open("/projects/new/")
    admin.field("Name").fill(name)
    admin.press("Control+Enter")
    expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()
    admin.picture("02-new-project")
    return page.url.removeprefix(str(page.evaluate("location.origin")))


def publish_a_guideline(admin: Window, project: str, kind: str, markdown: str) -> None:
    """Written, saved with Ctrl+S, looked at, published."""
    page = admin.open(f"{project}guidelines/{kind}/edit/")
    admin.field("Guideline").fill(markdown)
    admin.press("Control+s")
    admin.button("Publish…").click()
    admin.picture(f"03-guideline-{kind}")
    dialog = page.get_by_role("dialog")
    admin.field("What changed", dialog).fill("The first version.")
    dialog.get_by_role("button", name="Publish", exact=True).click()
    admin.says("Version 1")


def import_a_file(admin: Window, project: str, kind: str, file: Path, rows: int) -> None:
    """Upload, look at the preview, confirm, and see how many rows were added."""
    page = admin.open(f"{project}imports/new/")
    page.get_by_role("radio", name=kind, exact=True).check()
    page.locator("input[type=file]").set_input_files(file)
    admin.press("Control+Enter")
    expect(page.get_by_role("heading", name="The first rows, as they would be stored")).to_be_visible()
    admin.picture(f"04-import-{file.stem}")
    admin.press("Control+Enter")
    added = page.locator(".stat", has_text="Added")
    expect(added).to_contain_text(str(rows))
    admin.picture(f"05-imported-{file.stem}")


def make_a_demonstration_batch(admin: Window, project: str, name: str) -> None:
    page = admin.open(f"{project}batches/new/")
    admin.field("Name").fill(name)
    admin.field("Review rate").fill("1")
    admin.picture("06-new-batch")
    admin.press("Control+Enter")
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    admin.picture("07-batch")


def invite(admin: Window, project: str, email: str, role: str) -> str:
    """The link that is shown once."""
    page = admin.open(f"{project}people/")
    admin.button("Invite").click()
    dialog = page.get_by_role("dialog")
    admin.field("E-mail address", dialog).fill(email)
    admin.field("Role", dialog).select_option(role)
    admin.picture(f"08-invite-{role}")
    dialog.get_by_role("button", name="Send invitation").click()
    link = page.locator("#invitation-link")
    expect(link).to_be_visible()
    admin.picture(f"09-invited-{role}")
    return link.inner_text()


def join(person: Window, link: str, username: str, name: str) -> None:
    """Make an account through the link, without a mouse."""
    page = person.open(link)
    person.picture(f"10-join-{username}")
    for label, text in (("User name", username), ("Name", name), ("Password", PASSWORD)):
        person.tab_to(person.field(label))
        page.keyboard.type(text)
    person.press("Enter")
    page.wait_for_url("**/projects/**")
    person.picture(f"11-joined-{username}")
