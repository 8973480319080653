# imagemagick: filters, transforms and coders on generated images.
. "$PROGRAMS/common.sh"
needs convert identify compare

# Raw pixels are compared: other formats carry dates.
subject convert -size 1200x900 -seed 7 plasma:tomato-steelblue -depth 8 base.rgb
pixels="-size 1200x900 -depth 8 rgb:base.rgb"
digest base.rgb

# shellcheck disable=SC2086 # $pixels is a list of arguments
from_pixels() {
    subject convert $pixels "$@"
}
transform() {
    _out=$1
    shift
    from_pixels "$@" -depth 8 "$_out"
    digest "$_out"
}
transform blur.rgb -gaussian-blur 0x4
transform turned.rgb -rotate 33 +repage
transform small.rgb -resize 37% -unsharp 0x2
transform large.gray -filter Lanczos -resize 180% -colorspace Gray
transform swirl.rgb -swirl 120 -implode 0.3
transform paint.rgb -resize 50% -paint 4
transform quantised.rgb -resize 60% -dither FloydSteinberg -colors 48
transform morphology.rgb -resize 50% -morphology Close Disk:5
transform segments.rgb -resize 30% -colorspace HSL -channel L -equalize +channel

from_pixels -quality 92 a.jpg
from_pixels -define png:exclude-chunks=date,time a.png
from_pixels -resize 25% -colors 64 a.gif
from_pixels -compress zip a.tiff
for file in a.jpg a.png a.gif a.tiff; do
    subject identify -format '%m %wx%h %k colours %#\n' "$file"
done
subject convert a.jpg a.png -average -resize 400x300 montage.miff
# Status 1: the images differ, as JPEG loses something; by how much is printed.
PYMALLOC='' subject compare -metric RMSE a.jpg a.png null: 2>&1 || [ $? -eq 1 ]
echo
