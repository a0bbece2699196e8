// Uses a ClickHouse over HTTP by clickhouse-go, which Grafana's plugin uses, and prints a line of JSON for each thing
// it saw.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

const forEver = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"

var methods = map[string]clickhouse.CompressionMethod{
	"none": clickhouse.CompressionNone,
	"gzip": clickhouse.CompressionGZIP,
	"lz4":  clickhouse.CompressionLZ4,
	"zstd": clickhouse.CompressionZSTD,
}

func main() {
	connection, err := clickhouse.Open(&clickhouse.Options{
		Addr:        []string{os.Args[1]},
		Auth:        clickhouse.Auth{Database: os.Args[2]},
		Protocol:    clickhouse.HTTP,
		Compression: &clickhouse.Compression{Method: methods[os.Args[3]], Level: 1},
		DialTimeout: time.Minute,
		ReadTimeout: 5 * time.Minute,
	})
	check(err)
	insert(connection)
	read(connection)
	big(connection)
	refused(connection)
	cancelled(connection)
	check(connection.Close())
}

func insert(connection driver.Conn) {
	batch, err := connection.PrepareBatch(context.Background(), "INSERT INTO kinds")
	check(err)
	for id := uint64(10); id < 13; id++ {
		maybe := int32(-5)
		check(batch.Append(id, "it's \\ \t", "low", &maybe, time.UnixMilli(1767323045678), []string{"a", "b'"},
			map[string]string{"k": "v"}, true, 0.5, []any{uint8(7), "t"}))
	}
	say("inserted", batch.Rows())
	check(batch.Send())
}

func read(connection driver.Conn) {
	rows, err := connection.Query(context.Background(), "SELECT * FROM kinds WHERE id < 10 ORDER BY id")
	check(err)
	for rows.Next() {
		var (
			id        uint64
			text, low string
			maybe     *int32
			at        time.Time
			list      []string
			dims      map[string]string
			yes       bool
			ratio     float64
			pair      []any
		)
		check(rows.Scan(&id, &text, &low, &maybe, &at, &list, &dims, &yes, &ratio, &pair))
		say("row", []any{id, text, low, maybe, at.UnixMilli(), list, dims, yes, ratio, pair})
	}
	check(rows.Err())
	var zoned time.Time
	check(connection.QueryRow(context.Background(), "SELECT toDateTime(1767323045, 'Asia/Tokyo')").Scan(&zoned))
	say("zone", []any{zoned.Unix(), zoned.Location().String()})
}

func big(connection driver.Conn) {
	rows, err := connection.Query(context.Background(), "SELECT number, toString(number) FROM numbers(1000000)")
	check(err)
	var count, sum uint64
	for rows.Next() {
		var number, parsed uint64
		var text string
		check(rows.Scan(&number, &text))
		fmt.Sscan(text, &parsed)
		count++
		sum += number + parsed
	}
	check(rows.Err())
	say("big", []uint64{count, sum})
}

func refused(connection driver.Conn) {
	_, err := connection.Query(context.Background(), "SELECT nope FROM kinds")
	var exception *clickhouse.Exception
	if errors.As(err, &exception) {
		say("error", exception.Code)
	} else {
		say("error", fmt.Sprint(err))
	}
}

func cancelled(connection driver.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err := connection.Query(clickhouse.Context(ctx, clickhouse.WithQueryID("by-go")), forEver)
	say("cancelled", errors.Is(err, context.DeadlineExceeded))
	running := uint64(1)
	for running > 0 {
		sql := "SELECT count() FROM system.processes WHERE query_id = 'by-go'"
		check(connection.QueryRow(context.Background(), sql).Scan(&running))
	}
	say("running", running)
}

func say(what string, value any) {
	check(json.NewEncoder(os.Stdout).Encode(map[string]any{what: value}))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
