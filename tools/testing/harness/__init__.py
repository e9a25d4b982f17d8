# SPDX-License-Identifier: GPL-2.0
"""Boots the emulated KVM host, runs commands in it and judges its log."""
