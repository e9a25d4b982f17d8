# SPDX-License-Identifier: GPL-2.0
"""The one exception that ends a command with a message instead of a trace."""


class Failure(Exception):
    """Something the user must know: what went wrong and what to try next."""

    def __init__(self, message, advice=None):
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self):
        if self.advice:
            return f"{self.message}\n{self.advice}"
        return self.message
