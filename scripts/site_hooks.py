"""What turns the repository's Markdown into a site; see mkdocs.yml.

The pages link as GitHub wants it: `../img/x.png` from docs/, `docs/data.md`
from README.zh.md. In the site docs/ is the root, so the links are moved, and
the files that they lead to come along. Nothing is loaded from elsewhere.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File
from pygments.formatters import HtmlFormatter

ROOT = Path(__file__).parent.parent
# Pages outside of docs/, where a reader of the repository looks for them, and
# their places in the site. MkDocs takes a README.md for the front page, which
# the site has of its own.
MORE_PAGES = {
    "README.md": "overview.md",
    "README.zh.md": "overview.zh.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks/measurements.md",
}
# One for each kind of processor that was measured.
TABLES = {
    f"benchmarks/results/{path.name}": path.name.replace("-", "/", 1)
    for path in sorted((ROOT / "benchmarks" / "results").glob("*-*.md"))
}
MORE_PAGES |= TABLES
LINK = re.compile(r"(!?)\[((?:[^][]|\[[^]]*\])*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def github_slug(text, separator="-"):
    """The anchor that GitHub gives a heading: both sites have the same."""
    text = re.sub(r"[^\w\- ]", "", text.strip().lower())
    return text.replace(" ", separator)


def _in_repository(src_uri):
    """Where a page of the site stands in the repository."""
    for path, place in MORE_PAGES.items():
        if place == src_uri:
            return path
    return f"docs/{src_uri}"


def _target(page, link):
    """What a relative link of a page leads to, as a path in the repository."""
    folder = posixpath.dirname(_in_repository(page))
    return posixpath.normpath(posixpath.join(folder, link))


def on_config(config):
    config.mdx_configs.setdefault("toc", {})["slugify"] = github_slug
    for section in config.nav:
        if "Project" in section:
            section["Project"] += [
                {f"Tables: {Path(place).stem}": place}
                for place in TABLES.values()
            ]
    return config


def on_files(files, config):
    for path, place in MORE_PAGES.items():
        files.append(File.generated(config, place, abs_src_path=ROOT / path))
    for page in list(files.documentation_pages()):
        for _, _, link, _ in LINK.findall(page.content_string):
            target = _target(page.src_uri, link)
            outside = not target.startswith(("docs/", ".."))
            if "://" in link or target in MORE_PAGES or not outside:
                continue
            path = ROOT / target
            if path.is_file() and target not in files.src_uris:
                files.append(File.generated(config, target, abs_src_path=path))
    return files


def on_page_markdown(markdown, page, config, files):
    here = page.file.src_uri

    def moved(match):
        mark, text, link, anchor = match.groups()
        target = _target(here, link)
        if "://" in link or not (ROOT / target).exists():
            return match[0]  # what is broken stays so, and MkDocs says it
        if (ROOT / target).is_dir():
            return text  # folders have no page
        place = MORE_PAGES.get(target, target.removeprefix("docs/"))
        link = posixpath.relpath(place, posixpath.dirname(here) or ".")
        return f"{mark}[{text}]({link}{anchor or ''})"

    return LINK.sub(moved, markdown)


def on_page_content(html, page, config, files):
    # A wide table scrolls in a box of its own; by the keyboard, too.
    html = html.replace("<table>", '<div class="wide" tabindex="0"><table>')
    return html.replace("</table>", "</table></div>")


def on_post_build(config):
    for mode, style in (("light", "default"), ("dark", "github-dark")):
        rules = HtmlFormatter(style=style).get_style_defs(".codehilite")
        # Pygments' own background would be a box in the box.
        rules = re.sub(r"background: #\w+;?", "", rules)
        (Path(config.site_dir) / "css" / f"code-{mode}.css").write_text(rules)
