"""The least page that there is."""

import streamlit as st

st.markdown("Hello")
