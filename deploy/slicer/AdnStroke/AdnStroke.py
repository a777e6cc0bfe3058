"""3D Slicer: mark acute ischemic infarcts in non-contrast head CT by adn. For research use only."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import ctk
import qt
import slicer
from AdnStrokeLib import packages
from AdnStrokeLib.result import Result, read_result
from AdnStrokeLib.run import CASE, Run, command
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

NOTICE = "For research use only. Not a medical device; not for diagnosis or treatment decisions."
LOOK_EVERY_MS = 250
INFARCT_RGB = (0.85, 0.15, 0.15)
P_WINDOW_HU = (0.0, 15.0)  # of the map P; below half a HU nothing is shown
P_OPACITY = 0.4


class AdnStroke(ScriptedLoadableModule):
    """What Slicer's list of modules shows."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "Acute stroke (adn)"
        self.parent.categories = ["Segmentation"]
        self.parent.dependencies = []
        self.parent.contributors = ["The adn authors"]
        self.parent.helpText = (
            "Marks acute ischemic infarcts in a non-contrast head CT, and shows the pathological asymmetry that "
            f"explains each mark. {NOTICE}"
        )
        self.parent.acknowledgementText = (
            "An independent implementation of the Asymmetry Disentanglement Network (Ni et al., MICCAI 2022)."
        )


class AdnStrokeWidget(ScriptedLoadableModuleWidget):
    """One volume, one button, and what was found in words; the work goes on beside Slicer."""

    def setup(self):
        """Build the panel."""
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = AdnStrokeLogic()
        self.result = None
        panel = ctk.ctkCollapsibleButton()
        panel.text = "Mark infarcts"
        self.layout.addWidget(panel)
        form = qt.QFormLayout(panel)

        self.input = slicer.qMRMLNodeComboBox()
        self.input.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        self.input.addEnabled = self.input.removeEnabled = False
        self.input.noneEnabled = True
        self.input.setMRMLScene(slicer.mrmlScene)
        self.input.setToolTip("A head CT without contrast agent, in Hounsfield units, as it was scanned.")
        form.addRow("Head CT:", self.input)

        self.apply = qt.QPushButton("Mark infarcts")
        self.cancel = qt.QPushButton("Cancel")
        self.report = qt.QPushButton("Open the report")
        self.busy = qt.QProgressBar()
        self.busy.setRange(0, 0)  # how long it takes is not known
        self.words = qt.QTextBrowser()
        self.words.setPlainText(NOTICE)
        for row in (self.apply, self.cancel, self.busy, self.words, self.report):
            form.addRow(row)
        self._set_up_program()
        self.layout.addStretch(1)

        self.timer = qt.QTimer()
        self.timer.setInterval(LOOK_EVERY_MS)
        self.timer.connect("timeout()", self.look)
        self.apply.connect("clicked(bool)", self.on_apply)
        self.cancel.connect("clicked(bool)", self.on_cancel)
        self.report.connect("clicked(bool)", self.on_report)
        self.input.connect("currentNodeChanged(vtkMRMLNode*)", self.refresh)
        self.refresh()

    def _set_up_program(self):
        """Where adn comes from, below and closed, since most people never need it."""
        panel = ctk.ctkCollapsibleButton()
        panel.text = "Where adn is"
        panel.collapsed = not packages.refusal()
        self.layout.addWidget(panel)
        form = qt.QFormLayout(panel)
        self.source = qt.QLineEdit(packages.PACKAGE)
        self.source.setToolTip("What pip installs into Slicer's Python: the package, a wheel or a checkout of adn.")
        form.addRow("Install from:", self.source)
        self.program = ctk.ctkPathLineEdit()
        self.program.filters = ctk.ctkPathLineEdit.Files
        self.program.setToolTip("The program 'adn' of another Python, in place of an installation in Slicer.")
        form.addRow("Or use the program:", self.program)

    def cleanup(self):
        """The module is closed, or Slicer ends: stop what runs, and remove what was written for it."""
        self.timer.stop()
        self.logic.close()

    def refresh(self, *_):
        """Which buttons can be pressed."""
        self.apply.enabled = self.input.currentNode() is not None and not self.logic.running
        self.cancel.enabled = self.busy.visible = self.logic.running
        self.report.enabled = self.result is not None

    def say(self, lines):
        """Show lines in place of what was shown before."""
        self.words.setPlainText("\n\n".join(lines))

    def on_apply(self, *_):
        """Install adn if need be, having asked; then start it on the chosen volume."""
        program = self.program.currentPath.strip()
        try:
            if not program and not self.logic.install(self.source.text.strip()):
                self.say(["adn is not installed, so nothing was marked.", NOTICE])
                return
            self.result = None
            self.logic.start(self.input.currentNode(), program)
        except Exception as error:
            slicer.util.errorDisplay(f"adn could not be started: {error}")
            return
        self.say(["adn is at work; Slicer can be used meanwhile.", NOTICE])
        self.timer.start()
        self.refresh()

    def on_cancel(self, *_):
        """Ask adn to stop; the timer sees it end."""
        self.logic.cancel()
        self.say(["Stopping …", NOTICE])

    def on_report(self, *_):
        """Open report.html in the browser."""
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self.result.file("report.html"))))

    def look(self):
        """See whether adn has ended, and show what it found."""
        try:
            ended = self.logic.look()
        except Exception as error:  # a timer that goes on would hide it
            self.timer.stop()
            self.say([f"Nothing was marked: {error}", NOTICE])
            self.refresh()
            return
        if ended is None:
            return
        self.timer.stop()
        self.result = ended or None
        self.say(self.result.lines if self.result else ["Cancelled; nothing was marked.", NOTICE])
        self.refresh()


class AdnStrokeLogic(ScriptedLoadableModuleLogic):
    """Hands a volume to adn and brings its results into the scene; works without the panel, too."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self._run = None
        self._folder = None
        self._scan_id = ""
        self._kept = []

    @property
    def running(self):
        """Whether adn is at work."""
        return self._run is not None

    def install(self, source=packages.PACKAGE):
        """See to it that adn is in Slicer's Python; asks before anything is downloaded.

        Returns False where the user does not want it. Raises RuntimeError where this Python cannot run adn or the
        installation failed.
        """
        if packages.installed():
            return True
        if packages.refusal():
            raise RuntimeError(packages.refusal())
        if not slicer.util.confirmOkCancelDisplay(
            f"adn ({source}) is not installed. Download and install it with PyTorch into Slicer's Python? This takes "
            "minutes and some GB of disk.\n\nIts weights are for research only, not for clinical or commercial use."
        ):
            return False
        slicer.util.pip_install(["--no-deps", source])
        lacking = packages.missing()
        torch = [text for text in lacking if text.lower().startswith("torch")]
        if torch and self._torch_by_extension(torch[0][len("torch") :]):
            lacking = packages.missing()
        if lacking:
            slicer.util.pip_install(lacking)
        if not packages.installed():
            raise RuntimeError(f"The installation did not bring {', '.join(packages.missing()) or packages.PACKAGE}.")
        return True

    def _torch_by_extension(self, versions):
        """By Slicer's extension PyTorch, which finds the build for this machine's GPU; False where it is not there."""
        try:
            import PyTorchUtils
        except ModuleNotFoundError:
            return False
        PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=False, torchVersionRequirement=versions)
        return True

    def start(self, volume, program="", weights=""):
        """Start adn on a volume node. program: an `adn` elsewhere; '': that of Slicer's Python.

        Raises RuntimeError where adn is at work already, ValueError for a volume that cannot be handed over.
        """
        if self.running:
            raise RuntimeError("adn is at work already; wait for it or cancel it.")
        if volume is None or volume.GetImageData() is None:
            raise ValueError("Choose a head CT with voxels.")
        if volume.GetParentTransformNode() is not None:
            raise ValueError(
                f"The volume lies under the transform '{volume.GetParentTransformNode().GetName()}', which adn cannot "
                "see: harden it first (right click on the volume in the module Data)."
            )
        start = self._program(program)
        self._folder = Path(tempfile.mkdtemp(prefix="adn-", dir=slicer.app.temporaryPath))
        scan = self._folder / f"{CASE}.nii"
        if not slicer.util.saveNode(volume, str(scan)):
            self._drop()
            raise ValueError("The volume could not be written for adn; is Slicer's temporary folder full?")
        self._scan_id = volume.GetID()
        arguments = command(start, scan, self._folder / "out", weights)
        try:
            self._run = Run(arguments, slicer.util.startupEnvironment())
        except OSError:
            self._drop()
            raise

    def _program(self, program):
        if program:
            return [program]
        python = shutil.which("PythonSlicer")
        if not python:
            raise RuntimeError("Slicer's Python (PythonSlicer) was not found.")
        return [python, "-m", "adn"]

    def cancel(self):
        """Ask adn to stop. `look` tells when it has."""
        if self._run:
            self._run.cancel()

    def look(self):
        """None while adn works; then its result, once, with mask and map in the scene; False if it was cancelled.

        Raises ValueError, with adn's own sentence, where it failed.
        """
        code = self._run.poll() if self._run else None
        if code is None:
            return None
        run, self._run = self._run, None
        if run.cancelled:
            self._drop()
            return False
        if code:
            self._drop()
            raise ValueError(run.error)
        self._kept.append(self._folder)  # its report may be opened until the module is closed
        result = read_result(self._folder / "out" / CASE)
        self._folder = None
        self.show(result, slicer.mrmlScene.GetNodeByID(self._scan_id))
        return result

    def show(self, result: Result, volume):
        """Bring mask and map P into the scene. volume: the scan; None where it was closed meanwhile."""
        name = volume.GetName() if volume else "Head CT"
        labels = slicer.util.loadLabelVolume(str(result.file("infarct.nii.gz")), {"show": False})
        mask = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{name} infarct (adn)")
        mask.CreateDefaultDisplayNodes()
        mask.SetReferenceImageGeometryParameterFromVolumeNode(volume or labels)
        slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labels, mask)
        slicer.mrmlScene.RemoveNode(labels)
        segments = mask.GetSegmentation()
        if not segments.GetNumberOfSegments():  # nothing is marked; a reader may still draw
            segments.AddEmptySegment()
        segments.GetNthSegment(0).SetName("Infarct")
        segments.GetNthSegment(0).SetColor(*INFARCT_RGB)
        mask.SetDescription(" ".join(result.lines))

        asymmetry = slicer.util.loadVolume(str(result.file("asymmetry_pathological.nii.gz")), {"show": False})
        asymmetry.SetName(f"{name} pathological asymmetry P, HU (adn)")
        display = asymmetry.GetDisplayNode()
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeIron")
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(*P_WINDOW_HU)
        display.SetLowerThreshold(0.5)
        display.ApplyThresholdOn()
        if volume:
            slicer.util.setSliceViewerLayers(background=volume, foreground=asymmetry, foregroundOpacity=P_OPACITY)
        slicer.util.showStatusMessage(result.lines[0], 5000)

    def close(self):
        """Stop what runs and remove all that was written."""
        if self._run:
            self._run.cancel()
            self._run = None
        self._drop()
        for folder in self._kept:
            shutil.rmtree(folder, ignore_errors=True)
        self._kept = []

    def _drop(self):
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = None


class AdnStrokeTest(ScriptedLoadableModuleTest):
    """Run inside Slicer (Reload and Test); where adn is not installed, only what needs no adn."""

    def runTest(self):
        """All tests, on a scene of their own."""
        slicer.mrmlScene.Clear()
        self.test_a_transform_is_refused()

    def test_a_transform_is_refused(self):
        """adn reads voxels, so a volume that a transform moves must be hardened first."""
        import numpy as np

        volume = slicer.util.addVolumeFromArray(np.full((8, 16, 16), 30, np.int16))
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
        volume.SetAndObserveTransformNodeID(transform.GetID())
        with self.assertRaisesRegex(ValueError, "harden"):  # noqa: PT027 - Slicer has no pytest
            AdnStrokeLogic().start(volume)
        self.delayDisplay("Test passed")
