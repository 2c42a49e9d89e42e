"""What Beam works out again and again for every step, worked out once: a small run is mostly that.

Measured on a round of `follow` over eight articles (docs/decisions/0034).
"""

from typing import Any

from apache_beam.runners.portability.fn_api_runner import worker_handlers
from apache_beam.transforms import userstate

inspected_specs = userstate.get_dofn_specs
_known: dict[type, Any] = {}


def make_beam_quicker() -> None:
    """Change two things of Beam in this process; a second call changes nothing.

    * State and timers that a DoFn asks for: Beam inspects the signatures of some thirty methods for them, eight times
      a step. Here they are those of its class; a function in a Map, which is all that two DoFns of one class may
      differ in, has none.
    * FnApiRunner's cache of side inputs weighs what it keeps by a walk over all modules. Ours are read once.
    """
    userstate.get_dofn_specs = _specs_of_class
    worker_handlers.STATE_CACHE_SIZE_MB = 0


def _specs_of_class(dofn: Any) -> Any:
    kind = type(dofn)
    if kind not in _known:
        _known[kind] = inspected_specs(dofn)
    return _known[kind]
