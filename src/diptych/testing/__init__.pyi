from diptych.testing.clock import START as START
from diptych.testing.clock import FixedClock as FixedClock
from diptych.testing.clock import SequentialIds as SequentialIds
from diptych.testing.decider_spec import DeciderSpec as DeciderSpec
from diptych.testing.upcasting import check_upcasters as check_upcasters
from diptych.testing.view_spec import ViewSpec as ViewSpec
from diptych.testing.view_spec import happened as happened
from diptych.testing.waiting import wait_until as wait_until
