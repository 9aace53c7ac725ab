"""One plugin: its manifest, its folder, and its code, resolved on first use and contained when it fails."""

from __future__ import annotations

import hashlib
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whycad.admission import Survey
from whycad.errors import GeometryError, PluginError, WhyCadError
from whycad.manifest import Manifest, load_manifest
from whycad.phantom import PhantomCase
from whycad.plugin_checks import (
    check_evidence,
    check_model_input,
    check_reasons,
    check_row,
    check_strange,
    kind_of,
)
from whycad.plugin_import import import_from
from whycad.reference_cases import ReferenceCase
from whycad.types import Evidence, ModelInput, Region, Study

if TYPE_CHECKING:
    from torch import nn

    from whycad.datasets.pack import Pack

_IMPORT_LOCK = threading.RLock()


@dataclass(frozen=True, eq=False)
class Plugin:
    """A task whose manifest is valid; nothing of its code is imported until it is called.

    Attributes
    ----------
    manifest : Manifest
    folder : Path
        Where ``plugin.toml`` is.
    """

    manifest: Manifest
    folder: Path

    @property
    def id(self) -> str:
        """The manifest's id."""
        return self.manifest.id

    @property
    def label(self) -> str:
        """How errors name this plugin, such as ``plugin 'oct' 0.2.0``."""
        return f"plugin {self.manifest.id!r} {self.manifest.version}"

    @cached_property
    def weights_sha256(self) -> str:
        """One hash for the whole ensemble: SHA-256 over the members' declared hashes, in order."""
        joined = "\n".join(file.sha256 for file in self.manifest.weights.files)
        return hashlib.sha256(joined.encode("ascii")).hexdigest()

    def weights_paths(self) -> tuple[Path, ...]:
        """Return the members' weight files in declared order; they may not exist."""
        return tuple(self.folder / file.path for file in self.manifest.weights.files)

    def calibration_path(self) -> Path | None:
        """Return the calibration file, or None where the manifest declares none; it may not exist."""
        declared = self.manifest.calibration
        return None if declared is None else self.folder / declared.file

    def audit_path(self) -> Path | None:
        """Return the packaged summary of the task's audit, or None where none is declared; it may not exist."""
        declared = self.manifest.audit.summary
        return self.folder / declared if declared else None

    def evidence_model_path(self) -> Path | None:
        """Return the evidence model's weight file, or None where there is none; it may not exist."""
        declared = self.manifest.evidence_model
        return None if declared is None else self.folder / declared.path

    def reference_path(self) -> Path | None:
        """Return the file of reference distributions, or None where none is declared; it may not exist."""
        declared = self.manifest.reference
        return None if declared is None else self.folder / declared.file

    def card_path(self) -> Path | None:
        """Return the model card, or None where none is declared; it may not exist.

        The path is relative to the plugin folder, or to the folder two above it, where a
        checkout keeps ``model_cards/`` beside ``plugins/``.
        """
        if not self.manifest.model_card:
            return None
        own = self.folder / self.manifest.model_card
        return own if own.is_file() else self.folder.parent.parent / self.manifest.model_card

    def build_model(self) -> nn.Module:
        """Build one untrained member.

        Raises
        ------
        PluginError
            When the code cannot be imported, raises, or does not return a module.
        """
        return self._build(self.manifest.code.build_model, "build_model")

    def build_evidence_model(self) -> nn.Module | None:
        """Build the untrained evidence model; None where the plugin has none.

        Raises
        ------
        PluginError
            As ``build_model``.
        """
        reference = self.manifest.code.build_evidence_model
        return None if reference is None else self._build(reference, "build_evidence_model")

    def _build(self, reference: str, name: str) -> nn.Module:
        from torch import nn

        build = self.resolve(reference)
        with contained(self, name):
            model = build()
        if not isinstance(model, nn.Module):
            raise PluginError(f"{self.label}: {name} returned {kind_of(model)}, not a torch.nn.Module")
        return model

    def survey(self, study: Study, region: Region | None = None) -> Survey:
        """Let the plugin look once at what both its gate and its preprocessing need.

        Returns
        -------
        Survey
            To be handed to ``gate`` and ``preprocess`` of the same study and region, and let go with
            them; empty where the plugin has no such function.

        Raises
        ------
        PluginError
            When the code raises.
        """
        reference = self.manifest.code.survey
        if reference is None:
            return Survey()
        function = self.resolve(reference)
        with contained(self, "survey"):
            return Survey((function(study, region),))

    def preprocess(self, study: Study, region: Region | None = None, survey: Survey | None = None) -> ModelInput:
        """Turn a study into the network's input, and check what the plugin made of it.

        Parameters
        ----------
        study : Study
        region : Region or None
            What the reader points at, in source pixels.
        survey : Survey or None
            Of this study and region; None makes one.

        Returns
        -------
        ModelInput
            Finite float32 ``(channels, *shape)`` with a geometry from the manifest's shape to
            the study's.

        Raises
        ------
        GeometryError
            When the task needs a region and there is none.
        PluginError
            When the code raises or breaks what the manifest declares.
        """
        self.require_region(region)
        survey = survey or self.survey(study, region)
        function = self.resolve(self.manifest.code.preprocess)
        with contained(self, "preprocess"):
            inputs = function(study, region, *survey.found)
        check_model_input(self, inputs, study)
        return inputs  # type: ignore[no-any-return]  # checked above

    def require_region(self, region: Region | None) -> None:
        """Raise where the task needs to be told where to look, and was not.

        Raises
        ------
        GeometryError
        """
        if self.manifest.input.needs_region and region is None:
            name = self.manifest.input.region_name
            raise GeometryError(
                f"task {self.id!r} needs a point or box on the image",
                remedy=f"click the {name}, or draw a box around it",
            )

    def gate(self, study: Study, region: Region | None = None, survey: Survey | None = None) -> tuple[str, ...]:
        """Return the task's own reasons why a study cannot be scored; empty where it has none.

        Parameters
        ----------
        study : Study
        region : Region or None
        survey : Survey or None
            Of this study and region; None makes one.

        Raises
        ------
        PluginError
            When the code raises or returns anything but sentences.
        """
        reference = self.manifest.code.gate
        if reference is None:
            return ()
        survey = survey or self.survey(study, region)
        function = self.resolve(reference)
        with contained(self, "gate"):
            reasons = function(study, region, *survey.found)
        return check_reasons(self, reasons)

    def evidence(
        self, study: Study, inputs: ModelInput, outputs: Mapping[str, NDArray[np.float32]] | None = None
    ) -> Evidence:
        """Return measurements, concepts and outlines; empty where the plugin has no such function.

        Parameters
        ----------
        study : Study
        inputs : ModelInput
            What ``preprocess`` made of the study.
        outputs : mapping of str to ndarray of float32, optional
            The members' extra outputs for this input, averaged over the members.

        Raises
        ------
        PluginError
            When the code raises or returns what cannot be shown.
        """
        reference = self.manifest.code.evidence
        if reference is None:
            return Evidence()
        function = self.resolve(reference)
        with contained(self, "evidence"):
            evidence = function(study, inputs, dict(outputs or {}))
        return check_evidence(self, evidence, study)

    @property
    def row_reader(self) -> Callable[[Pack, int], tuple[Study, Region | None]] | None:
        """The task's own way to read a pack's row (``read_row``); None where the plain one does."""
        return None if self.manifest.code.read_row is None else self.read_row

    def read_row(self, pack: Pack, row: int) -> tuple[Study, Region | None]:
        """Read one row of a pack the task's own way.

        Raises
        ------
        PluginError
            When the task has no such function, or it raises or returns something else.
        DatasetError
            When the row is broken.
        """
        reference = self.manifest.code.read_row
        if reference is None:
            raise PluginError(f"{self.label}: plugin.toml names no read_row")
        function = self.resolve(reference)
        with contained(self, "read_row"):
            returned = function(pack, row)
        return check_row(self, returned)

    def reference_cases(self, data: Path) -> Iterator[ReferenceCase]:
        """Yield the cases that the task's calibration was fitted on, read from a data folder.

        Raises
        ------
        PluginError
            When the task has no such function, or it raises or yields something else.
        DatasetError
            When the data are missing or broken.
        """
        reference = self.manifest.code.reference_cases
        if reference is None:
            raise PluginError(f"{self.label}: plugin.toml names no reference_cases")
        function = self.resolve(reference)
        with contained(self, "reference_cases"):
            for case in function(data):
                if not isinstance(case, ReferenceCase):
                    raise PluginError(f"{self.label}: reference_cases yielded {kind_of(case)}, not a ReferenceCase")
                if case.label not in self.manifest.label_codes:
                    raise PluginError(f"{self.label}: reference_cases yielded a label that the task does not have")
                yield case

    def strange(self, batch: NDArray[np.float32]) -> NDArray[np.float64] | None:
        """Return the task's own strangeness score of inputs ``(n, C, *shape)``, larger is stranger.

        Returns
        -------
        ndarray of float64 (n,) or None
            None where the plugin has no such function.

        Raises
        ------
        PluginError
            When the code raises or returns anything but one finite number per input.
        """
        reference = self.manifest.code.strange
        if reference is None:
            return None
        function = self.resolve(reference)
        with contained(self, "strange"):
            scores = function(batch)
        return check_strange(self, scores, len(batch))

    def phantom(self) -> tuple[PhantomCase, ...]:
        """Return the plugin's simulated sample cases; empty where it has none."""
        reference = self.manifest.code.phantom
        if reference is None:
            return ()
        make = self.resolve(reference)
        with contained(self, "phantom"):
            return tuple(make())

    def resolve(self, reference: str) -> Callable[..., Any]:
        """Import the function that ``module:function`` names.

        A module that lies in the plugin folder is loaded from there, under a name of its own
        unless it is importable as it is written, so that two plugins may both have a ``model.py``.
        Such plugins import their own files relatively (``from .model import ...``).

        Raises
        ------
        PluginError
            When the module cannot be imported or has no such function.
        """
        module_name, function_name = reference.split(":")
        with _IMPORT_LOCK, contained(self, f"import of {reference!r}"):
            module = import_from(self.folder, self.id, module_name)
        function = getattr(module, function_name, None)
        if not callable(function):
            raise PluginError(f"{self.label}: {reference!r} is not a function", remedy="correct [code] in plugin.toml")
        return function  # type: ignore[no-any-return]  # any callable will do


def load_plugin(folder: Path) -> Plugin:
    """Read the plugin in a folder; no code of it is imported.

    Raises
    ------
    ManifestError
        When plugin.toml is missing or broken.
    """
    return Plugin(load_manifest(folder), folder)


@contextmanager
def contained(plugin: Plugin, doing: str, passing: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """Turn whatever a plugin's code raises into a ``PluginError`` that names it.

    The message holds the kind and place of the failure, never its text, which could quote data;
    the text stays in ``__cause__``. WhyCAD's own errors and ``passing`` go through.
    """
    let_through: tuple[type[BaseException], ...] = (WhyCadError, *passing)
    try:
        yield
    except let_through:
        raise
    except (Exception, SystemExit) as error:  # a plugin may raise anything; this is where it ends
        raise PluginError(
            f"{plugin.label}: {doing} raised {kind_of(error)}{_place(plugin, error)}",
            remedy=f"run `whycad check-plugin {plugin.id}`",
        ) from error


def _place(plugin: Plugin, error: BaseException) -> str:
    """Say where in the plugin's own files an error came from, if there."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(plugin.folder)]
    return f" at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
