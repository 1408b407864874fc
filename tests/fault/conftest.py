"""The daemons of these tests are those of tests/service: one way to start and to judge them."""
import importlib.util
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("service_daemons", ROOT / "tests" / "service" / "conftest.py")
service_daemons = importlib.util.module_from_spec(_spec)
sys.modules["service_daemons"] = service_daemons
_spec.loader.exec_module(service_daemons)
start = service_daemons.start
daemon = service_daemons.daemon
