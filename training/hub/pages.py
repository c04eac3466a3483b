"""Pages (placeholder while the service is built)."""

from pathlib import Path

from fastapi import APIRouter

router = APIRouter()
STATIC = Path(__file__).parent / "static"
STATIC.mkdir(exist_ok=True)
