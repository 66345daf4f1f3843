import java.util.*;
import java.util.concurrent.*;
import org.apache.curator.framework.*;
import org.apache.curator.framework.recipes.leader.*;
import org.apache.curator.framework.recipes.locks.*;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.retry.ExponentialBackoffRetry;

/** Holds, by Curator's recipes, what it is told to: lines "who verb words…", answered by "who words…". */
public class CuratorClient {
    static CuratorFramework client;

    static synchronized void say(String who, Object... words) {
        var line = new StringBuilder(who);
        for (var word : words) line.append(' ').append(word);
        System.out.println(line);
        System.out.flush();
    }

    public static void main(String[] args) throws Exception {
        client = CuratorFrameworkFactory.newClient(args[0], 4000, 4000, new ExponentialBackoffRetry(100, 3));
        client.start();
        client.blockUntilConnected();
        say("curator", "connected");
        Map<String, BlockingQueue<String[]>> known = new HashMap<>();
        var input = new Scanner(System.in);
        while (input.hasNextLine()) {
            var words = input.nextLine().split(" ");
            known.computeIfAbsent(words[0], CuratorClient::begin).put(Arrays.copyOfRange(words, 1, words.length));
        }
        client.close();
        System.exit(0);
    }

    static BlockingQueue<String[]> begin(String who) {
        var lines = new LinkedBlockingQueue<String[]>();
        var thread = new Thread(() -> {
            try {
                var one = new One(who);
                while (true) one.hear(lines.take());
            } catch (Exception error) {
                say(who, "failed", error);
                error.printStackTrace();
            }
        });
        thread.setDaemon(true);
        thread.start();
        return lines;
    }

    /** Each has a thread of its own: Curator's locks belong to the thread that took them. */
    static class One {
        final String who;
        InterProcessLock lock;
        InterProcessSemaphoreV2 semaphore;
        Lease lease;
        LeaderLatch latch;
        LeaderSelector selector;
        CountDownLatch leading;
        GroupMember member;

        One(String who) {
            this.who = who;
        }

        void hear(String[] words) throws Exception {
            switch (words[0]) {
                case "mutex" -> { lock = new InterProcessMutex(client, words[1]); say(who, "ready"); }
                case "read" -> { lock = new InterProcessReadWriteLock(client, words[1]).readLock(); say(who, "ready"); }
                case "write" -> { lock = new InterProcessReadWriteLock(client, words[1]).writeLock(); say(who, "ready"); }
                case "semaphore" -> {
                    semaphore = new InterProcessSemaphoreV2(client, words[1], Integer.parseInt(words[2]));
                    say(who, "ready");
                }
                case "acquire" -> { acquire(); say(who, "acquired"); }
                case "try" -> say(who, tryFor(Long.parseLong(words[1])));
                case "release" -> { release(); say(who, "released"); }
                case "rounds" -> {
                    var holdMs = words.length > 2 ? Long.parseLong(words[2]) : 2;
                    for (int round = Integer.parseInt(words[1]); round > 0; round--) {
                        long asked = System.nanoTime();
                        acquire();
                        long from = System.nanoTime();
                        Thread.sleep(holdMs);
                        long until = System.nanoTime();
                        release();
                        say(who, asked, from, until);
                    }
                }
                case "latch" -> {
                    latch = new LeaderLatch(client, words[1], who);
                    latch.start();
                    say(who, "ready");
                }
                case "lead" -> { latch.await(); say(who, "leads"); }
                case "leader" -> say(who, latch.hasLeadership(), latch.getLeader().getId());
                case "resign" -> { latch.close(); say(who, "resigned"); }
                case "selector" -> {
                    leading = new CountDownLatch(1);
                    selector = new LeaderSelector(client, words[1], new LeaderSelectorListenerAdapter() {
                        public void takeLeadership(CuratorFramework ignored) throws Exception {
                            say(who, "leads");
                            leading.await();
                        }
                    });
                    selector.setId(who);
                    selector.start();
                    say(who, "ready");
                }
                case "step-down" -> { leading.countDown(); say(who, "resigned"); }
                case "join" -> {
                    member = new GroupMember(client, words[1], who, words[2].getBytes("UTF-8"));
                    member.start();
                    say(who, "ready");
                }
                case "members" -> {
                    var members = new TreeMap<String, String>();
                    for (var one : member.getCurrentMembers().entrySet())
                        members.put(one.getKey(), new String(one.getValue(), "UTF-8"));
                    say(who, members);
                }
                case "children" -> say(who, new TreeSet<>(client.getChildren().forPath(words[1])));
                case "delete" -> {
                    var nodes = new ArrayList<>(client.getChildren().forPath(words[1]));
                    nodes.sort(Comparator.comparing(node -> node.substring(node.length() - 10)));
                    client.delete().forPath(words[1] + "/" + nodes.get(Integer.parseInt(words[2])));
                    say(who, "deleted");
                }
                case "part" -> { member.close(); say(who, "parted"); }
                default -> throw new IllegalArgumentException(words[0]);
            }
        }

        void acquire() throws Exception {
            if (semaphore == null) lock.acquire();
            else lease = semaphore.acquire();
        }

        boolean tryFor(long ms) throws Exception {
            if (semaphore == null) return lock.acquire(ms, TimeUnit.MILLISECONDS);
            lease = semaphore.acquire(ms, TimeUnit.MILLISECONDS);
            return lease != null;
        }

        void release() throws Exception {
            if (semaphore == null) lock.release();
            else semaphore.returnLease(lease);
        }
    }
}
