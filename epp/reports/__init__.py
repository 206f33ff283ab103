"""Reports on runs: what a configuration achieved on a workload, simulated or on the wire, in one format for both.

`runs` says what a run leaves behind; `figures` makes figures of it, `summaries` and `statistics` put seeds together.
From there go `tables` (terminal and Markdown), `document` (JSON), `page` (HTML with plots) and `picture`. matplotlib,
from the extra `report`, is loaded when something is drawn.
"""

from epp.reports.document import Document, DocumentError, read_json, write_json
from epp.reports.drawing import DrawingError
from epp.reports.figures import MEASURES, Figures, figures_of
from epp.reports.page import write_page
from epp.reports.picture import draw_picture
from epp.reports.runs import CallResults, Failure, PodInfo, PodTimeline, Run
from epp.reports.sheets import GROUPS
from epp.reports.slo import Slo
from epp.reports.statistics import Comparison, Estimate, Verdict, compare, estimate, ratio
from epp.reports.summaries import Case, Record, Summary, best_of, record_of, summaries
from epp.reports.tables import LEGEND, markdown, matrix, matrix_markdown, tables
from epp.reports.verdicts import verdict

__all__ = [
    "GROUPS",
    "LEGEND",
    "MEASURES",
    "CallResults",
    "Case",
    "Comparison",
    "Document",
    "DocumentError",
    "DrawingError",
    "Estimate",
    "Failure",
    "Figures",
    "PodInfo",
    "PodTimeline",
    "Record",
    "Run",
    "Slo",
    "Summary",
    "Verdict",
    "best_of",
    "compare",
    "draw_picture",
    "estimate",
    "figures_of",
    "markdown",
    "matrix",
    "matrix_markdown",
    "ratio",
    "read_json",
    "record_of",
    "summaries",
    "tables",
    "verdict",
    "write_json",
    "write_page",
]
