"""Decisions about versions: pure values."""

import pytest

from models.errors import InvalidInput
from models.repository.auto import Auto, AutoLimits
from models.repository.rollout import Canary, Domain, Rollout, parse, serialize

CANARY = Canary(version=3, share=0.25)


def test_a_canary_pins_the_default_and_leaves_it() -> None:
    assert Rollout().with_canary(CANARY, 2) == Rollout(default=2, canary=CANARY)
    assert Rollout(default=2, canary=CANARY).with_canary(None, 2) == Rollout(default=2)


def test_a_promotion_is_remembered_and_ends_what_was_tried() -> None:
    tried = Rollout(default=2, previous=(1,), canary=CANARY, shadow=3, unloaded=(3, 4))

    assert tried.promoted(3, 2) == Rollout(default=3, previous=(1, 2), unloaded=(4,))
    assert Rollout(shadow=4).promoted(3, 2) == Rollout(default=3, previous=(2,), shadow=4)
    assert Rollout(default=2, previous=(1,)).promoted(2, 2) == Rollout(default=2, previous=(1,))


def test_rolling_back_undoes_promotions_one_by_one() -> None:
    rollout = Rollout(default=1).promoted(2, 1).promoted(3, 2)

    assert rollout.rolled_back() == Rollout(default=2, previous=(1,))
    assert rollout.rolled_back().rolled_back() == Rollout(default=1)
    with pytest.raises(InvalidInput, match="no earlier default"):
        rollout.rolled_back().rolled_back().rolled_back()


def test_a_bounded_number_of_defaults_is_remembered() -> None:
    rollout = Rollout()
    for version in range(2, 100):
        rollout = rollout.promoted(version, version - 1)

    assert rollout.previous == tuple(range(83, 99))


def test_a_version_is_not_tried_beside_itself() -> None:
    with pytest.raises(InvalidInput, match="3 is the default version already"):
        Rollout().with_canary(CANARY, 3)
    with pytest.raises(InvalidInput, match="the shadow must be another"):
        Rollout().with_shadow(3, 3)


def test_the_newest_are_loaded_and_what_is_kept_and_in_use() -> None:
    versions = list(range(1, 10))

    assert Rollout().versions_to_load(versions, 2) == {8, 9}
    assert Rollout(default=1, canary=CANARY, shadow=4, loaded=(5,), unloaded=(9,)).versions_to_load(versions, 2) == {
        1,
        3,
        4,
        5,
        8,
    }


def test_what_is_in_use_cannot_be_left_out() -> None:
    rollout = Rollout(default=1, canary=CANARY, shadow=4, loaded=(5,))
    for version in (1, 3, 4):
        with pytest.raises(InvalidInput, match="is the default, the canary or the shadow"):
            rollout.with_unloaded(version, 1)

    assert rollout.with_unloaded(5, 1).unloaded == (5,)
    assert rollout.with_unloaded(5, 1).loaded == ()
    assert rollout.with_unloaded(5, 1).with_loaded(5) == rollout
    assert rollout.with_unloaded(5, 1).with_shadow(5, 1).unloaded == ()


def test_versions_that_are_gone_are_forgotten() -> None:
    rollout = Rollout(default=9, previous=(1, 2, 8), canary=CANARY, shadow=4, loaded=(5, 1), unloaded=(6, 2))

    assert rollout.without_missing([1, 2]) == Rollout(default=2, previous=(1,), loaded=(1,), unloaded=(2,))
    assert rollout.without_missing([7]) == Rollout()
    assert rollout.without_missing(list(range(1, 10))) == rollout


class TestLabels:
    """Other names of versions."""

    def test_a_label_moves_from_version_to_version(self) -> None:
        rollout = Rollout(unloaded=(2,)).with_label("tested", 1).with_label("tested", 2)

        assert rollout.labels == {"tested": 2}
        assert rollout.in_use == {2}
        assert rollout.unloaded == ()
        assert rollout.without_label("tested").labels == {}

    def test_a_version_with_a_label_stays_loaded(self) -> None:
        rollout = Rollout().with_label("old", 1)

        assert rollout.versions_to_load([1, 2, 3], newest=1) == {1, 3}
        with pytest.raises(InvalidInput, match="a label"):
            rollout.with_unloaded(1, default=3)

    def test_labels_of_versions_that_are_gone_are_gone(self) -> None:
        rollout = Rollout().with_label("old", 1).with_label("new", 2)

        assert rollout.without_missing([2]).labels == {"new": 2}

    @pytest.mark.parametrize("label", ["stable", "canary", "", "1", "-a", "a b", "é", "a" * 64])
    def test_what_is_no_label_is_refused(self, label: str) -> None:
        with pytest.raises(InvalidInput, match="label: "):
            Rollout().with_label(label, 1)

    def test_labels_are_few(self) -> None:
        rollout = Rollout()
        for number in range(32):
            rollout = rollout.with_label(f"a{number}", number + 1)

        assert rollout.with_label("a0", 9).labels["a0"] == 9
        with pytest.raises(InvalidInput, match="32 labels already"):
            rollout.with_label("more", 1)


class TestAuto:
    """What `auto` mode keeps in a rollout."""

    def test_its_base_and_its_candidate_stay_loaded(self) -> None:
        auto = Auto.started(AutoLimits(), 1, 4, 0.0).model_copy(update={"candidate": 2})
        rollout = Rollout(default=4).with_auto(auto)

        assert rollout.versions_to_load([1, 2, 3, 4, 5], newest=1) == {1, 2, 4, 5}
        with pytest.raises(InvalidInput, match="is needed by auto mode"):
            rollout.with_unloaded(1, default=4)

    def test_without_its_base_it_is_off(self) -> None:
        rollout = Rollout(default=2).with_auto(Auto.started(AutoLimits(), 1, 2, 0.0))

        assert rollout.without_missing([1, 2]) == rollout
        assert rollout.without_missing([2]).auto is None

    def test_switched_off_it_ends_its_own_trial_and_no_other(self) -> None:
        auto = Auto.started(AutoLimits(), 1, 1, 0.0).model_copy(update={"candidate": 2})
        own = Rollout(default=1, shadow=2, canary=Canary(version=2, share=0.5)).with_auto(auto)
        others = Rollout(default=1, shadow=3, canary=Canary(version=3, share=0.5))

        assert own.without_auto() == Rollout(default=1)
        assert others.with_auto(auto).without_auto() == others

    def test_other_limits_are_those_of_its_canary_too(self) -> None:
        """Else it would take the share for one that somebody has changed."""
        auto = Auto.started(AutoLimits(), 1, 1, 0.0).model_copy(update={"candidate": 2, "phase": "canary"})
        rollout = Rollout(default=1, canary=Canary(version=2, share=0.2)).with_auto(auto)
        limits = AutoLimits(canary_share=0.4)

        changed = rollout.with_auto_started(limits, 1, 1, 9.0)
        assert changed.canary == Canary(version=2, share=0.4)
        assert changed.auto == auto.model_copy(update={"limits": limits})

    def test_it_pins_the_default(self) -> None:
        assert Rollout().with_auto_started(AutoLimits(), 1, 1, 0.0).default == 1


class TestDomains:
    DOMAINS = (Domain(version=2, margin=0.5), Domain(version=3, margin=0.0))

    def test_they_pin_the_default_and_load_their_versions(self) -> None:
        rollout = Rollout(unloaded=(3, 4)).with_domains(self.DOMAINS, 1, 1)

        assert rollout == Rollout(default=1, domains=self.DOMAINS, unloaded=(4,))
        assert rollout.versions_to_load([1, 2, 3, 4, 5], 1) == {1, 2, 3, 5}
        assert parse(serialize(rollout), "m") == rollout
        assert rollout.without_domains() == Rollout(default=1, unloaded=(4,))

    def test_another_default_ends_them(self) -> None:
        rollout = Rollout(default=1, previous=(4,), domains=self.DOMAINS)

        assert rollout.promoted(2, 1).domains == ()
        assert rollout.rolled_back().domains == ()
        assert rollout.promoted(1, 1).domains == self.DOMAINS

    def test_they_exclude_a_canary_and_auto_mode(self) -> None:
        rollout = Rollout(default=1, domains=self.DOMAINS)

        with pytest.raises(InvalidInput, match="canary: the model has domains"):
            rollout.with_canary(Canary(version=2, share=0.5), 1)
        with pytest.raises(InvalidInput, match="auto: the model has a canary, a shadow or domains"):
            rollout.with_auto_started(AutoLimits(), 1, 1, 0.0)
        with pytest.raises(InvalidInput, match="versions: the model has a canary"):
            Rollout(default=1, canary=CANARY).with_domains(self.DOMAINS, 1, 1)
        with pytest.raises(InvalidInput, match="versions: auto mode decides"):
            Rollout(default=1).with_auto(Auto.started(AutoLimits(), 1, 1, 0.0)).with_domains(self.DOMAINS, 1, 1)
        assert rollout.with_shadow(4, 1).domains == self.DOMAINS

    def test_margins_of_an_earlier_default_are_refused(self) -> None:
        with pytest.raises(InvalidInput, match="version 4 has become the default meanwhile"):
            Rollout(default=4).with_domains(self.DOMAINS, 1, 4)

    def test_versions_that_are_gone_are_forgotten(self) -> None:
        rollout = Rollout(default=1, previous=(4,), domains=self.DOMAINS)

        assert rollout.without_missing([1, 3]).domains == self.DOMAINS[1:]
        assert rollout.without_missing([2, 3, 4]).domains == ()
        with pytest.raises(InvalidInput, match="has a domain"):
            rollout.with_unloaded(2, 1)
