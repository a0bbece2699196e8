import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;

/** Uses a ClickHouse through JDBC by the driver's default settings, and prints a line of JSON for each thing it saw. */
public final class Jdbc {
    private static final String FOR_EVER =
        "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1";

    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        for (int i = 1; i < arguments.length; i++) {
            String[] pair = arguments[i].split("=", 2);
            properties.setProperty(pair[0], pair[1]);
        }
        try (Connection connection = DriverManager.getConnection(arguments[0], properties)) {
            insert(connection);
            read(connection);
            big(connection);
            error(connection);
            cancel(connection);
            metadata(connection.getMetaData());
        }
        properties.setProperty("clickhouse_setting_max_execution_time", "1");
        try (Connection connection = DriverManager.getConnection(arguments[0], properties)) {
            late(connection, 0);
        }
        properties.remove("clickhouse_setting_max_execution_time");
        properties.setProperty("async", "true");
        try (Connection connection = DriverManager.getConnection(arguments[0], properties)) {
            late(connection, 1);
        }
        System.exit(0);
    }

    private static void insert(Connection connection) throws SQLException {
        String sql = "INSERT INTO kinds (id, text, low, maybe, list, dims, yes, ratio) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
        try (PreparedStatement insert = connection.prepareStatement(sql)) {
            for (int id = 10; id < 13; id++) {
                insert.setLong(1, id);
                insert.setString(2, "it's \\ \t");
                insert.setString(3, "low");
                insert.setObject(4, id == 10 ? null : id);
                insert.setObject(5, new String[] {"a", "b'"});
                insert.setObject(6, Map.of("k", "v"));
                insert.setBoolean(7, true);
                insert.setDouble(8, 0.5);
                insert.addBatch();
            }
            say("inserted", insert.executeBatch().length);
        }
    }

    private static void read(Connection connection) throws SQLException {
        String sql = "SELECT id, text, low, maybe, at, list, dims, yes, ratio, pair FROM kinds WHERE id < ? ORDER BY id";
        try (PreparedStatement select = connection.prepareStatement(sql)) {
            select.setLong(1, 10);
            ResultSet found = select.executeQuery();
            while (found.next()) {
                List<Object> row = new ArrayList<>(List.of(found.getLong(1), found.getString(2), found.getString(3)));
                int maybe = found.getInt(4);
                row.add(found.wasNull() ? null : maybe);
                row.add(found.getTimestamp(5).getTime());
                row.add(found.getArray(6).getArray());
                row.add(found.getObject(7));
                row.addAll(List.of(found.getBoolean(8), found.getDouble(9)));
                row.add(found.getObject(10));
                say("row", row);
            }
        }
    }

    private static void big(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            ResultSet found = statement.executeQuery("SELECT number, toString(number) FROM numbers(1000000)");
            long rows = 0;
            long sum = 0;
            while (found.next()) {
                rows++;
                sum += found.getLong(1) + Long.parseLong(found.getString(2));
            }
            say("big", List.of(rows, sum));
        }
    }

    private static void error(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.executeQuery("SELECT nope FROM kinds");
        } catch (SQLException refused) {
            say("error", List.of(refused.getErrorCode(), refused.getMessage().contains("UNKNOWN_IDENTIFIER")));
        }
    }

    /** The driver's own timeout only works with its property `async`; without it the server's setting does. */
    private static void late(Connection connection, int seconds) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(seconds);
            statement.executeQuery(FOR_EVER);
        } catch (SQLException late) {
            say("late", List.of(seconds, late.getErrorCode(), late.getCause().getClass().getSimpleName()));
        }
    }

    private static void cancel(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            Thread canceller = new Thread(() -> {
                try (Statement asking = connection.createStatement()) {
                    String sql = "SELECT count() FROM system.processes WHERE query LIKE '%numbers(1000000000000)%'";
                    ResultSet running;
                    do {
                        running = asking.executeQuery(sql + " AND query NOT LIKE '%processes%'");
                        running.next();
                    } while (running.getInt(1) == 0);
                    statement.cancel();
                } catch (SQLException failed) {
                    throw new IllegalStateException(failed);
                }
            });
            canceller.start();
            try {
                statement.executeQuery(FOR_EVER);
            } catch (SQLException cancelled) {
                say("cancelled", cancelled.getErrorCode());
            }
            canceller.join();
        }
    }

    private static void metadata(DatabaseMetaData metadata) throws SQLException {
        say("product", metadata.getDatabaseProductName());
        List<Object> tables = new ArrayList<>();
        String database = metadata.getConnection().getSchema();
        ResultSet found = metadata.getTables(null, database, "%", new String[] {"TABLE", "VIEW"});
        while (found.next()) {
            tables.add(List.of(found.getString("TABLE_NAME"), found.getString("TABLE_TYPE")));
        }
        say("tables", tables);
        Map<String, Object> columns = new TreeMap<>();
        found = metadata.getColumns(null, database, "kinds", "%");
        while (found.next()) {
            columns.put(found.getString("COLUMN_NAME"), found.getString("TYPE_NAME"));
        }
        say("columns", columns);
        List<Object> schemas = new ArrayList<>();
        found = metadata.getSchemas();
        while (found.next()) {
            schemas.add(found.getString("TABLE_SCHEM"));
        }
        say("schemas", schemas);
        say("keys", metadata.getPrimaryKeys(null, database, "kinds").next());
    }

    private static void say(String what, Object value) {
        System.out.println("{\"" + what + "\": " + json(value) + "}");
    }

    private static String json(Object value) {
        if (value == null || value instanceof Number || value instanceof Boolean) {
            return String.valueOf(value);
        }
        if (value instanceof Map<?, ?> map) {
            List<String> parts = new ArrayList<>();
            map.forEach((key, held) -> parts.add(json(key.toString()) + ": " + json(held)));
            return "{" + String.join(", ", parts) + "}";
        }
        if (value instanceof Object[] array) {
            return json(Arrays.asList(array));
        }
        if (value instanceof List<?> list) {
            return "[" + String.join(", ", list.stream().map(Jdbc::json).toList()) + "]";
        }
        String text = value.toString().replace("\\", "\\\\").replace("\"", "\\\"").replace("\t", "\\t");
        return "\"" + text.replace("\n", "\\n") + "\"";
    }
}
