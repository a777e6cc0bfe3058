"""Stand-ins for the parts of `slicer`, `qt` and `ctk` that the module AdnStroke uses."""

from __future__ import annotations

import os
import types
import unittest
from pathlib import Path
from unittest.mock import MagicMock

from adn.io.nifti import write_volume
from adn.space.volume import Volume


class Module:
    """As ScriptedLoadableModule."""

    def __init__(self, parent):
        self.parent = parent


class Widget:
    """As ScriptedLoadableModuleWidget."""

    def __init__(self, parent=None):
        self.parent, self.layout = parent, MagicMock()

    def setup(self):
        """Nothing of Slicer's own."""


class Logic:
    """As ScriptedLoadableModuleLogic."""


class VolumeNode:
    """A volume in the scene. transform: the node it lies under."""

    def __init__(self, volume: Volume | None, name: str = "Doe^Jane", transform: object = None) -> None:
        self.volume, self.name, self.transform = volume, name, transform

    def GetImageData(self):
        return self.volume

    def GetParentTransformNode(self):
        return self.transform

    def GetName(self):
        return self.name

    def GetID(self):
        return "vtkMRMLScalarVolumeNode1"


def _save(node: VolumeNode, path: str) -> bool:
    assert node.volume is not None
    write_volume(node.volume, Path(path))
    return True


def modules(node: VolumeNode, temporary: Path, segments: int = 1) -> dict[str, types.ModuleType]:
    """Name → module. node: what the scene holds. segments: how many a mask is imported as.

    `slicer.loaded` lists the files brought into the scene, `slicer.installs` what pip was asked for.
    """
    slicer, base = MagicMock(), types.ModuleType("slicer.ScriptedLoadableModule")
    vars(base).update(
        ScriptedLoadableModule=Module,
        ScriptedLoadableModuleWidget=Widget,
        ScriptedLoadableModuleLogic=Logic,
        ScriptedLoadableModuleTest=unittest.TestCase,
    )
    slicer.loaded, slicer.installs = [], []

    def load(path, properties):
        assert Path(path).is_file()
        slicer.loaded.append(Path(path).name)
        return MagicMock()

    slicer.app.temporaryPath = str(temporary)
    slicer.util.saveNode = _save
    slicer.util.startupEnvironment = lambda: dict(os.environ)
    slicer.util.loadLabelVolume = slicer.util.loadVolume = load
    slicer.util.pip_install = slicer.installs.append
    slicer.mrmlScene.GetNodeByID = {node.GetID(): node}.get
    slicer.mrmlScene.AddNewNodeByClass.return_value.GetSegmentation.return_value.GetNumberOfSegments = lambda: segments
    slicer.qMRMLNodeComboBox.return_value.currentNode = lambda: node
    ctk = MagicMock()
    ctk.ctkPathLineEdit.return_value.currentPath = ""
    qt = MagicMock()
    qt.QPushButton.side_effect = lambda text: MagicMock(text=text)
    qt.QLineEdit.side_effect = lambda text: MagicMock(text=text)
    return {"slicer": slicer, "slicer.ScriptedLoadableModule": base, "qt": qt, "ctk": ctk}
