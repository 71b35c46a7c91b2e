"""The schema of `manifest.json`, which describes a bundle: one module for each part of it.

Per-channel numbers are written with the shortest digits that give back the same float32 (or float64) bits.
"""

from models.manifest.batching import Batching
from models.manifest.drift import (
    ClassLayer,
    ClassReference,
    DriftReference,
    LayerDirections,
    LayerReference,
    Thresholds,
)
from models.manifest.gate import Gate
from models.manifest.layers import ImageShape, LayerKind, NormLayer, Placement, WatchedLayer
from models.manifest.lineage import Lineage, Origin, Parent
from models.manifest.manifest import SCHEMA_VERSION, Capability, Manifest
from models.manifest.parity import HalfWeights, Parity, ParityComparison
from models.manifest.preprocessing import Generation, ImagePreprocessing, Tokenization
from models.manifest.quantization import QuantizationRecord, Speed
from models.manifest.recalibration import (
    AccuracyEstimate,
    AccuracyGain,
    RecalibrationRecord,
    ReferenceRecord,
    StoredWeights,
)
from models.manifest.record import MODEL_NAME, Channels, Record, channels
from models.manifest.tensors import TensorSpec
from models.manifest.topology import TopologyNode, TopologyNodeKind
from models.manifest.training import LayerHistory, TrainingHistory, TrainingRecord

__all__ = [
    "MODEL_NAME",
    "SCHEMA_VERSION",
    "AccuracyEstimate",
    "AccuracyGain",
    "Batching",
    "Capability",
    "Channels",
    "ClassLayer",
    "ClassReference",
    "DriftReference",
    "Gate",
    "Generation",
    "HalfWeights",
    "ImagePreprocessing",
    "ImageShape",
    "LayerDirections",
    "LayerHistory",
    "LayerKind",
    "LayerReference",
    "Lineage",
    "Manifest",
    "NormLayer",
    "Origin",
    "Parent",
    "Parity",
    "ParityComparison",
    "Placement",
    "QuantizationRecord",
    "RecalibrationRecord",
    "Record",
    "ReferenceRecord",
    "Speed",
    "StoredWeights",
    "TensorSpec",
    "Thresholds",
    "Tokenization",
    "TopologyNode",
    "TopologyNodeKind",
    "TrainingHistory",
    "TrainingRecord",
    "WatchedLayer",
    "channels",
]
