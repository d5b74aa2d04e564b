"""Make the files of this folder again with LibreOffice."""

import subprocess
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import xlsxwriter

HERE = Path(__file__).parent
# Separator, quote, UTF-8, first line, column formats, language, quoted cells as text, special numbers detected.
CSV_AS_OPENED = "--infilter=CSV:44,34,76,1,,0,false,true"
CSV_AS_SAVED = "csv:Text - txt - csv (StarCalc):44,34,76,1"
HEADER = (
    "reference", "track", "applicant_kind", "legal_name", "ntn", "cnic", "email", "mobile", "purpose", "operator",
    "networks",
)  # fmt: skip


def write_marked(path: Path) -> None:
    """Write the workbook whose cells are errors, formulas, dates, numbers with formats, merged, or hidden."""
    workbook = xlsxwriter.Workbook(path)
    sheet = workbook.add_worksheet("List")
    formats = {
        code: workbook.add_format({"num_format": code})
        for code in (r"0000000\-0", r"00000\-0000000\-0", "+0", "yyyy-mm-dd", "0.00E+00")
    }
    sheet.write_row(0, 0, ["Members of the association"])
    sheet.write_row(2, 0, HEADER)
    for row in range(3, 9):
        applicant = ["company", f"Alpha {row} Ltd", f"770000{row}-{row}", "", f"it@a{row}.example.pk", "+923001234567"]
        cells = [f"F-{row}", "vpn_company", *applicant, "it_services", "ptcl", f"39.49.4.{row}"]
        sheet.write_row(row, 0, cells)
    sheet.write_formula(3, 0, "=1/0", None, "#DIV/0!")
    sheet.write_formula(4, 0, '="F-"&(2+2)', None, "F-4")
    sheet.write_number(5, 4, 76543210, formats[r"0000000\-0"])
    sheet.write_number(5, 5, 3520212345671, formats[r"00000\-0000000\-0"])
    sheet.write_number(5, 7, 923001234567, formats["+0"])
    sheet.write_datetime(6, 0, date(2026, 2, 1), formats["yyyy-mm-dd"])
    sheet.write_number(6, 7, 923001234567, formats["0.00E+00"])
    sheet.merge_range(7, 1, 8, 1, "vpn_company", workbook.add_format())  # which blanks the lower cell
    sheet.set_row(7, None, None, {"hidden": True})
    sheet.autofilter(2, 0, 8, len(HEADER) - 1)
    old = workbook.add_worksheet("Old")
    old.write_row(0, 0, HEADER)
    old.hide()
    workbook.close()


def convert(source: Path, target: str, *options: str) -> None:
    """Open a file in LibreOffice and save it in this folder."""
    with TemporaryDirectory() as home:
        command = ["soffice", f"-env:UserInstallation=file://{home}", "--headless", *options]
        subprocess.run([*command, "--convert-to", target, "--outdir", str(HERE), str(source)], check=True)


def main() -> None:
    """Make the files."""
    with TemporaryDirectory() as folder:
        opened = Path(folder) / "mended.csv"
        opened.write_text("\ufeff" + (HERE / "mended.csv.txt").read_text(encoding="utf-8"), encoding="utf-8")
        for target in ("xlsx", "ods", "xls:MS Excel 97", CSV_AS_SAVED):
            convert(opened, target, CSV_AS_OPENED)
        write_marked(Path(folder) / "marked.xlsx")
        for target in ("xlsx", "ods", "xls:MS Excel 97"):
            convert(Path(folder) / "marked.xlsx", target)


if __name__ == "__main__":
    main()
