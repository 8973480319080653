import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.zip.Deflater;
import java.util.zip.DeflaterOutputStream;
import java.util.zip.InflaterInputStream;

/**
 * Deterministic work for a Java machine. It maps its own heap; what comes from malloc is the native
 * side: compiled code, class data, threads, direct buffers, zlib.
 */
public class Work {
    private static String digest(byte[] data) throws Exception {
        byte[] sum = MessageDigest.getInstance("SHA-256").digest(data);
        return HexFormat.of().formatHex(sum, 0, 8);
    }

    private static String compress(int seed) throws Exception {
        Random draw = new Random(seed);
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < 4000; i++) {
            text.append("line ").append(draw.nextInt(500)).append('\n');
        }
        byte[] plain = text.toString().getBytes(StandardCharsets.UTF_8);
        MessageDigest all = MessageDigest.getInstance("SHA-256");
        for (int round = 0; round < 40; round++) {
            Deflater deflater = new Deflater(1 + round % 9);
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            try (DeflaterOutputStream stream = new DeflaterOutputStream(out, deflater)) {
                stream.write(plain);
            }
            deflater.end();
            var back = new InflaterInputStream(new java.io.ByteArrayInputStream(out.toByteArray()));
            if (!java.util.Arrays.equals(back.readAllBytes(), plain)) {
                throw new IllegalStateException("round trip");
            }
            back.close();
            all.update(out.toByteArray());
        }
        return HexFormat.of().formatHex(all.digest(), 0, 8);
    }

    private static long buffers(int seed) {
        Random draw = new Random(seed);
        ByteBuffer[] kept = new ByteBuffer[200];
        long sum = 0;
        for (int i = 0; i < 20000; i++) {
            ByteBuffer buffer = ByteBuffer.allocateDirect(4 + draw.nextInt(3000));
            buffer.putInt((buffer.capacity() - 4) / 2, i);
            kept[draw.nextInt(kept.length)] = buffer;
            sum += buffer.capacity();
        }
        for (ByteBuffer buffer : kept) {
            sum += buffer == null ? 0 : buffer.getInt((buffer.capacity() - 4) / 2);
        }
        return sum;
    }

    private static String maps(int seed) throws Exception {
        Random draw = new Random(seed);
        Map<String, List<Integer>> map = new HashMap<>();
        for (int i = 0; i < 200000; i++) {
            String key = "key" + draw.nextInt(20000);
            if (i % 3 == 0) {
                map.remove(key);
            } else {
                map.computeIfAbsent(key, k -> new ArrayList<>()).add(i);
            }
        }
        StringBuilder text = new StringBuilder();
        map.keySet().stream().sorted().forEach(k -> text.append(k).append(map.get(k).size()));
        return map.size() + " " + digest(text.toString().getBytes(StandardCharsets.UTF_8));
    }

    public static void main(String[] arguments) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        List<Callable<String>> tasks = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            int seed = i;
            tasks.add(() -> "deflate " + seed + " " + compress(seed));
            tasks.add(() -> "buffers " + seed + " " + buffers(seed));
            tasks.add(() -> "maps " + seed + " " + maps(seed));
        }
        for (Future<String> result : pool.invokeAll(tasks)) {
            System.out.println(result.get());
        }
        pool.shutdown();
        int[] count = new int[1];
        for (int i = 0; i < 500; i++) {
            Thread thread = new Thread(() -> count[0]++);
            thread.start();
            thread.join();
        }
        System.out.println("threads " + count[0]);
    }
}
