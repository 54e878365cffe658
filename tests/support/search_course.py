"""The course of a search without a cluster: its searcher, scheduler and order, driven as Ray Tune drives them."""

import math
from dataclasses import dataclass

from ray.tune.schedulers import TrialScheduler

from harness.cluster.search import scheduler, searcher
from harness.cluster.search_order import SearchActor
from harness.cluster.search_trial import BUDGET, MERIT, OBJECTIVE, merit_of


@dataclass
class Tried:
    """A setting, its objectives by rung, and whether the search is done with it."""

    setting: dict
    values: list
    trial_id: str
    ended: bool = False


def play(search, objective, choose=lambda events: events[0]):
    """The settings of a search, in the order of their suggestion.

    Args:
        search: Search to play.
        objective: Function of setting and rung; None for an experiment that fails.
        choose: Which of the events that could happen next does, as if some work took longer than other.
    """
    suggests, decides = searcher(search), scheduler(search)
    actor = SearchActor(settings=search.settings, batch=len(search.start), slots=1)
    tried: list[Tried] = []
    while True:
        while len(tried) < search.settings:
            trial_id = str(len(tried))
            if (suggested := suggests.suggest(trial_id)) is None:
                break
            assert suggested.pop("number") == len(tried)
            tried.append(Tried(suggested, [], trial_id))
            decides.on_trial_add(None, tried[-1])
        live = [n for n, each in enumerate(tried) if not each.ended]
        if not live:
            assert len(tried) == search.settings
            return tried
        events = []
        for n in live:
            rung = len(tried[n].values) - 1
            waits = rung >= 0 and (n, rung) in actor._values and (n, rung) not in actor._decided
            if not waits or actor.may_report(n, rung):
                events.append((n, waits))
        _happen(search, objective, tried, actor, suggests, decides, *choose(events))


def _happen(search, objective, tried, actor, suggests, decides, number, reports):
    each = tried[number]
    if not reports:
        rung = len(each.values)
        found = objective(each.setting, rung)
        if found is None:
            actor.end(number)
            each.ended = True
            suggests.on_trial_complete(each.trial_id, {OBJECTIVE: None, MERIT: None})
            return
        judged = rung < search.judged
        each.values.append(found if judged else each.values[-1])
        actor.measure(number, rung, each.values[-1])
        return
    rung = len(each.values) - 1
    value, merit = each.values[-1], merit_of(min(rung, search.judged - 1), each.values[-1])
    assert math.isfinite(merit)
    result = {OBJECTIVE: value, MERIT: merit, BUDGET: search.factor**rung}
    result |= {"training_iteration": rung + 1}
    decision = decides.on_trial_result(None, each, result)
    actor.decide(number, rung)
    if decision == TrialScheduler.STOP:
        decides.on_trial_complete(None, each, result)
        suggests.on_trial_complete(each.trial_id, result)
        actor.end(number)
        each.ended = True
    else:
        suggests.on_trial_result(each.trial_id, result)
