"""The engine of `OCR`, for the text of regions."""

from __future__ import annotations

import shutil

from backend.infra.text import rapidocr
from backend.infra.text.tesseract import TesseractReader
from backend.service.text.reading import TextReading

INSTALL_RAPIDOCR = "install it: pip install 'labelstudio-learning-backend[ocr]', or make setup EXTRA=ocr"
INSTALL_TESSERACT = "install it: sudo apt-get install -y tesseract-ocr"


def text_reading(named: str) -> TextReading:
    """Return what reads text by a value of `OCR`; nothing is loaded yet.

    `auto` takes RapidOCR where it is installed, else Tesseract. An engine that is not there stops nothing.
    """
    if named == "off":
        return TextReading(None, "OCR is off; set it to auto and start the service again")
    if named in ("auto", "rapidocr") and rapidocr.is_installed():
        return TextReading(rapidocr.RapidOcrReader())
    program = shutil.which("tesseract") if named in ("auto", "tesseract") else None
    if program is not None:
        return TextReading(TesseractReader(program))
    if named == "tesseract":
        return TextReading(None, f"the program tesseract is not there; {INSTALL_TESSERACT}")
    return TextReading(None, f"RapidOCR is not there; {INSTALL_RAPIDOCR}")
