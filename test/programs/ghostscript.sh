# ghostscript: pages rendered to PNG, to PDF and back.
. "$PROGRAMS/common.sh"
needs gs

gs_to() {
    _device=$1
    shift
    subject gs -q -dNOPAUSE -dBATCH -dSAFER -sDEVICE="$_device" "$@"
}
gs_to png16m -r200 -dTextAlphaBits=4 -dGraphicsAlphaBits=4 -sOutputFile=page%d.png \
    "$INPUTS/work.ps"
gs_to pngmono -r100 -sOutputFile=mono%d.png "$INPUTS/work.ps"
digest page*.png mono*.png
# A PDF carries its date; what is drawn and written in it is compared.
gs_to pdfwrite -sOutputFile=work.pdf "$INPUTS/work.ps"
gs_to png16m -r72 -sOutputFile=pdf%d.png work.pdf
gs_to txtwrite -sOutputFile=text.txt work.pdf
digest pdf*.png text.txt
