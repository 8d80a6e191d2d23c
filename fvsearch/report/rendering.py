"""How pages are made: jinja2 templates beside this module, everything that comes in escaped, for names and reasons are the user's."""

from typing import Any


def render_page(template: str, **values: Any) -> str:
    """A page from a template of this package; a name that the template uses and nobody gives is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fvsearch.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)
