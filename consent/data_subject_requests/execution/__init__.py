"""Doing what a request asks for: access export, rectification, erasure, preview, receipt."""
