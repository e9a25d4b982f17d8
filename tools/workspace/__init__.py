# SPDX-License-Identifier: GPL-2.0
"""The workspace behind the Makefile: packages, kernel, builds, images."""
