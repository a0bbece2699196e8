// A dashboard's JSON as Grafana types it: its panels with the options and custom fields of their own kind.
import type { Dashboard, Panel, RowPanel } from '@grafana/schema'
import type * as barchart from '@grafana/schema/dist/esm/raw/composable/barchart/panelcfg/x/BarChartPanelCfg_types.gen'
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen'
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen'
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen'

/** JSON has an enum's values, not its names. */
type Json<T> = T extends string ? `${T}`
  : T extends (infer Item)[] ? Json<Item>[]
  : T extends object ? { [Key in keyof T]: Json<T[Key]> }
  : T

/** What Grafana fills in when it is left out may be left out. */
type Of<Kind extends string, Options, Field> =
  Omit<Json<Panel>, 'type' | 'options' | 'fieldConfig'> & {
    type: Kind
    options: Json<Partial<Options>>
    fieldConfig: Omit<Json<NonNullable<Panel['fieldConfig']>>, 'defaults'> & {
      defaults: Omit<Json<NonNullable<Panel['fieldConfig']>['defaults']>, 'custom'> & { custom?: Json<Partial<Field>> }
    }
  }

export type Shown = Omit<Json<Dashboard>, 'panels'> & {
  panels: (
    | Json<RowPanel>
    | Of<'barchart', barchart.Options, barchart.FieldConfig>
    | Of<'stat', stat.Options, {}>
    | Of<'table', table.Options, table.FieldConfig>
    | Of<'timeseries', timeseries.Options, timeseries.FieldConfig>
  )[]
}
