"""Policies of the field as complete configuration files, beside our own default: one `NAME.yaml` in this folder each.

Every file starts a picker as it stands, says at its top what it is, where it comes from and when to use it, and builds
on nothing but built-in plugins. They are data: nothing here reads them as YAML, and nothing of the picker is imported.
"""

from epp.policies.shipped import names, text_of

__all__ = ["names", "text_of"]
