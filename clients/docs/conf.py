"""Sphinx's settings of the documentation. clients/docs/build stages the pages and runs Sphinx with this file."""

import os
import sys

sys.path.insert(0, os.path.join(os.environ["MODPROP_SOURCE"], "clients", "python", "src"))

project = "modprop"
author = "the modprop authors"
version = release = os.environ["MODPROP_VERSION"]
copyright = author

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 4
# A heading of a repository document may begin at the second level, after an included one.
suppress_warnings = ["myst.header"]

# What the package imports, but a builder of documentation need not install.
autodoc_mock_imports = ["httpx", "safetensors", "matplotlib", "pandas", "xarray", "torch", "tqdm"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"

html_theme = "furo"
html_title = f"modprop {release}"
html_static_path = ["_static"]
html_css_files = ["modprop.css"]
html_favicon = "_static/favicon.svg"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
# No foreign request: furo's own files only, in the system's fonts.
html_theme_options = {"footer_icons": []}
pygments_style = "friendly"
pygments_dark_style = "monokai"
exclude_patterns = []
