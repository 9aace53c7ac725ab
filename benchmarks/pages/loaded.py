"""The least page, in a process that has loaded every library of the product and settled as the app does."""

import captum.attr  # noqa: F401
import lime.lime_image  # noqa: F401
import pandas as pd  # noqa: F401
import plotly.graph_objects as go  # noqa: F401
import skimage.segmentation  # noqa: F401
import sklearn.ensemble  # noqa: F401
import streamlit as st
import torch  # noqa: F401

from dashboard import cache

st.markdown("Hello")
cache.settle()
