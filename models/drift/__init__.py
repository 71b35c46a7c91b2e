"""Drift: has the input moved, against a reference, at a stated false-alarm rate?"""
