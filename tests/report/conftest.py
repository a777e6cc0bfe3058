import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "figures"))  # fake_prediction.py serves both folders
