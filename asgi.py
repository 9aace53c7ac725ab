"""WhyCAD with security headers: ``streamlit run asgi.py``, or any ASGI server."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

HERE = Path(__file__).resolve().parent
sys.path[:0] = [] if str(HERE) in sys.path else [str(HERE)]

from dashboard.security import SecurityHeaders  # noqa: E402

# Streamlit holds only websockets to its list of hosts; here every request is held to it.
HOSTS = list(st.get_option("server.allowedHosts") or ["*"])
app = st.App(
    HERE / "app.py",
    middleware=[Middleware(SecurityHeaders), Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)],
)
