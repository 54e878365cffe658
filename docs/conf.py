"""Sphinx configuration: Markdown pages and the Python API, built without a network.   make docs"""

from docs.generator import sphinx_hooks

project = "MeDS-Bench"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["generator", "results"]
nitpicky = True

html_theme = "furo"
html_title = "MeDS-Bench"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_css_files = ["site.css"]
html_static_path = ["static"]
highlight_language = "none"
smartquotes = False

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
python_maximum_signature_line_length = 88

setup = sphinx_hooks.setup
