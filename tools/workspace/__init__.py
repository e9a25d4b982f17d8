# SPDX-License-Identifier: GPL-2.0
"""The workspace: packages, kernel tree, builds and images behind the Makefile."""
