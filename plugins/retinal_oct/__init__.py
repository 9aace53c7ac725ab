"""Retinal OCT: choroidal neovascularisation against normal, with referral of what was never seen."""
