"""Protocols, baselines and reports: how good is a model?"""
