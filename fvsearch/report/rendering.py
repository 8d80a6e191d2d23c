"""How pages are made: jinja2 templates beside this module, everything that comes in escaped, for names and reasons are the user's."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fvsearch.ledger import now

if TYPE_CHECKING:
    import plotly.graph_objects as go


def render_page(template: str, figures: "Mapping[str, go.Figure]", **values: Any) -> str:
    """A page from a template of this package; a name that the template uses and nobody gives is an error.

    Args:
        template: Its file.
        figures: By name; one without data is left out.
        values: What else the template uses, beside what all pages share: colours, the plots' script, when and by what it was written.
    """
    import jinja2
    import plotly.offline

    from fvsearch import __version__
    from fvsearch.report.look import DARK, LIGHT

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fvsearch.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared = {
        # graph_objects leaves what is None out, and plotly.js fills it in.
        "figures": {name: figure.to_plotly_json() for name, figure in figures.items() if figure.data},
        "colours": {LIGHT[role]: DARK[role] for role in LIGHT},
        "light": LIGHT,
        "dark": DARK,
        "plotly_js": plotly.offline.get_plotlyjs(),
        "written": clock(now()),
        "version": __version__,
    }
    return environment.get_template(template).render(**shared, **values)


def clock(moment: str) -> str:
    """ISO 8601 in UTC as a reader sees it: `2026-10-27 12:34:56 UTC`."""
    return moment.replace("T", " ").replace("+00:00", " UTC")
