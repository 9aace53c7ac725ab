"""The app: Streamlit pages over the core, thin on purpose."""
