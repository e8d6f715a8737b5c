"""MegaPortraits: one-shot megapixel neural head avatars."""

__version__ = "0.1.0"
