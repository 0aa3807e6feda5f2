"""The pages of the site that are made from the code: they exist while the site is built, and nowhere else."""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from reference_pages import FIGURES, INSERTS, PAGES


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and the example's figures that pages show."""
    for path, make in PAGES.items():
        files.append(File.generated(config, path, content=make()))
    for path, source in FIGURES.items():
        files.append(File.generated(config, path, abs_src_path=str(source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put what is made from the code into the places that pages keep for it."""
    for comment, make in INSERTS.items():
        if comment in markdown:
            markdown = markdown.replace(comment, make())
    return markdown
