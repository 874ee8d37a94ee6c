{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{- define "machines.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains "mimic-machines" .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-mimic-machines" (.Release.Name | trunc 25 | trimSuffix "-") }}
{{- end }}
{{- end }}

{{/* `mimic --context` finds pods by the first label, so it is the same in every release. */}}
{{- define "machines.selectorLabels" -}}
app.kubernetes.io/name: mimic-machines
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "machines.labels" -}}
{{ include "machines.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* A parameter's value as text; numbers of values files are floats to a template. */}}
{{- define "machines.value" -}}
{{- if kindIs "float64" . }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{/* All combinations of sweep.matrix, and of sweep.files where there are some, as a JSON list of {key: value}. */}}
{{- define "machines.cases" -}}
{{- $cases := list (dict) }}
{{- $axes := deepCopy .Values.sweep.matrix }}
{{- if .Values.sweep.files }}{{- $axes = set $axes "@file" (keys .Values.sweep.files | sortAlpha) }}{{- end }}
{{- range $key := keys $axes | sortAlpha }}
{{- $next := list }}
{{- range $case := $cases }}
{{- range $value := index $axes $key }}
{{- $next = append $next (set (deepCopy $case) $key (include "machines.value" $value)) }}
{{- end }}
{{- end }}
{{- $cases = $next }}
{{- end }}
{{- toJson $cases }}
{{- end }}

{{/* What pods of fleets and sweeps have in common. Called with (dict "root" $ "args" LIST "volumes" LIST "mounts" LIST). */}}
{{- define "machines.podSpec" -}}
{{- $ := .root -}}
automountServiceAccountToken: false
{{- with $.Values.serviceAccountName }}
serviceAccountName: {{ . }}
{{- end }}
enableServiceLinks: false
{{- if $.Values.hostNetwork }}
hostNetwork: true
{{- end }}
terminationGracePeriodSeconds: {{ $.Values.terminationGracePeriodSeconds }}
securityContext:
  {{- toYaml $.Values.podSecurityContext | nindent 2 }}
{{- with $.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: mimic
    image: "{{ $.Values.image.repository }}:{{ $.Values.image.tag | default $.Chart.AppVersion }}"
    imagePullPolicy: {{ $.Values.image.pullPolicy }}
    args:
      {{- toYaml .args | nindent 6 }}
    {{- with concat (.env | default list) $.Values.extraEnv }}
    env:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    securityContext:
      {{- toYaml $.Values.securityContext | nindent 6 }}
    {{- $resources := deepCopy $.Values.resources }}
    {{- if $.Values.kvm.enabled }}
    {{- $resources = mergeOverwrite $resources (dict "limits" (dict $.Values.kvm.resource 1)) }}
    {{- end }}
    resources:
      {{- toYaml $resources | nindent 6 }}
    {{- with .readinessProbe }}
    readinessProbe:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    volumeMounts:
      - name: scratch
        mountPath: /tmp
      {{- with concat .mounts $.Values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  - name: scratch
    emptyDir: {sizeLimit: {{ $.Values.scratchSize }}}
  {{- with concat .volumes $.Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
