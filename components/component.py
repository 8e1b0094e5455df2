"""How every step becomes a KFP component: a thin body in one image, nothing installed at run time.

A component's body is an import and a call, because KFP ships its text; the code itself is in the
image, or in this checkout where the steps run locally.
"""

from functools import partial

from kfp import dsl

# "python" in the name: kfp's local runner warns about images that seem to have none.
LOCAL_IMAGE = "metasgd-python:local"

step_component = partial(dsl.component, base_image=LOCAL_IMAGE, install_kfp_package=False)
