"""What pages are drawn with: components, gauges, charts and the ticks below them, icons; the style guide shows all of it.

Geometry and wording are worked out here, so that templates (templates/components/) only place them.
"""
