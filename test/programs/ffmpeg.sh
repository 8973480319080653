# ffmpeg: a generated film and sound, encoded, filtered, decoded, compared by frame.
. "$PROGRAMS/common.sh"
needs ffmpeg ffprobe

# No dates, no random identifiers, no versions in the files.
exact='-fflags +bitexact -flags:v +bitexact -flags:a +bitexact'
film() {
    subject ffmpeg -nostdin -v error -y "$@"
}

# shellcheck disable=SC2086 # $exact is a list of options, for the file after it
{
    film -f lavfi -i testsrc2=size=480x360:rate=25:duration=6 \
        -f lavfi -i sine=frequency=440:beep_factor=4:duration=6 \
        $exact -threads 2 -c:v mpeg4 -q:v 4 -c:a flac source.mkv
    film -i source.mkv -f framemd5 source.md5
    film -threads 2 -i source.mkv -vf 'scale=320:240,hflip,unsharp,drawgrid=w=32:h=32' \
        -af 'atempo=1.5,aecho' $exact -c:v libx264 -threads 1 -preset fast -c:a aac out.mp4
    film -i out.mp4 -f framemd5 out.md5
    film -i source.mkv -an -threads 2 -c:v ffv1 -slices 4 \
        -vf 'split[a][b];[a]transpose[c];[b]scale=360:480[d];[c][d]blend=all_mode=average' \
        $exact blend.mkv
}
film -i blend.mkv -f rawvideo -pix_fmt rgb24 blend.raw
digest source.mkv source.md5 out.mp4 out.md5 blend.mkv blend.raw
tail -n 2 out.md5
digest_of subject ffprobe -v error -show_streams -show_format -show_packets -of json out.mp4
