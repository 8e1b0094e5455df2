"""How far the numbers along an axis stand apart, once they are drawn."""

from itertools import pairwise

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def gaps(figure: Figure) -> float:
    """The smallest gap between two numbers below the lowest panels, in pixels; negative where they meet."""
    FigureCanvasAgg(figure).draw()
    lowest = min(panel.get_position().y0 for panel in figure.axes)
    boxes = [
        label.get_window_extent()
        for panel in figure.axes
        if panel.get_position().y0 == lowest
        for label in panel.get_xticklabels()
        if label.get_text() and panel.get_xlim()[0] <= label.get_position()[0] <= panel.get_xlim()[1]
    ]
    return min(float(right.x0 - left.x1) for left, right in pairwise(sorted(boxes, key=lambda box: box.x0)))
